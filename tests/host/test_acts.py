"""Acts that wait: added by several at once, forgotten one by one, never seen half there."""

import threading
from pathlib import Path

from host.acts import WaitingActs


def test_no_act_is_lost_or_out_of_sight_while_others_are_added_and_forgotten(tmp_path: Path) -> None:
    waiting = WaitingActs(tmp_path)
    waiting.add({"n": -1})

    def add(first: int) -> None:
        for number in range(first, first + 40):
            WaitingActs(tmp_path).add({"n": number})

    adding = [threading.Thread(target=add, args=(first,)) for first in (0, 40)]
    for one in adding:
        one.start()
    taken: list[int] = []
    while any(one.is_alive() for one in adding) or waiting.read():
        for act in waiting.read()[:1]:
            taken.append(act["n"])
            waiting.forget(1)
    assert sorted(taken) == list(range(-1, 80))
    assert [n for n in taken if 0 <= n < 40] == list(range(40))
    assert [path.name for path in tmp_path.iterdir()] == ["page-accounts.acts"]


def test_who_looks_while_one_is_forgotten_sees_all_others(tmp_path: Path) -> None:
    waiting = WaitingActs(tmp_path)
    for number in range(60):
        waiting.add({"n": number})
    seen: list[list[int]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append([act["n"] for act in waiting.read()])

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(59):
        waiting.forget(1)
    done.set()
    looking.join()
    assert all(row == list(range(60 - len(row), 60)) and row for row in seen)
