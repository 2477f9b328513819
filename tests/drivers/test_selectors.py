"""Valves that are moved: what goes out for a move, and what their answers mean, as their manuals have it."""

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import hjson
import pytest

from drivers.base import Answer, Ask, BadAnswer, SelectorDriver, Step, Tell, Text
from drivers.picarro_valves import PicarroSelector
from drivers.vici import ViciSelector

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOLDER = Path(__file__).resolve().parent.parent / "transcripts" / "valves"
SELECTORS: dict[str, SelectorDriver] = {"vici": ViciSelector(""), "picarro": PicarroSelector()}
CALLS = [
    pytest.param(SELECTORS[document["kind"]], call, id=f"{document['kind']}-{number}")
    for path in sorted(FOLDER.glob("*.hjson"))
    for document in [hjson.loads(path.read_text(encoding="utf-8"))]
    for number, call in enumerate(document["calls"])
]

T = TypeVar("T")


def answered(step: Step, exchange: dict[str, str]) -> Answer:
    assert isinstance(step, Ask | Tell)
    assert step.data == exchange["send"].encode()
    if isinstance(step, Tell):
        assert "answer" not in exchange
        return Text(b"", AT)
    answer = exchange["answer"].encode()
    complete = [end for end in range(1, len(answer) + 1) if step.complete(answer[:end])]
    assert complete, "the answer never is complete"
    return Text(answer[: complete[0]], AT)


def carried_out(steps: Generator[Step, Answer, T], exchanges: list[dict[str, str]]) -> T:
    waiting = list(exchanges)
    try:
        step = next(steps)
        while True:
            step = steps.send(answered(step, waiting.pop(0)))
    except StopIteration as end:
        given: T = end.value
        assert waiting == []
        return given


@pytest.mark.parametrize(("selector", "call"), CALLS)
def test_a_call_is_what_the_manual_says(selector: SelectorDriver, call: dict[str, Any]) -> None:
    exchanges = call["exchanges"]
    if "bad" in call:
        steps = selector.move(call["bad_move"]) if "bad_move" in call else selector.state()
        with pytest.raises(BadAnswer, match=call["bad"]):
            carried_out(steps, exchanges)
    elif "move" in call:
        assert carried_out(selector.move(call["move"]), exchanges) is None
    else:
        assert carried_out(selector.state(), exchanges) == call["state"]


def test_an_actuator_with_an_id_is_called_by_it() -> None:
    selector = ViciSelector("4")
    carried_out(selector.move(2), [{"send": "4GO02\r"}])
    assert carried_out(selector.state(), [{"send": "4CP\r", "answer": "4CP02\r"}]) == 2
