"""`plumeline doctor`: what is weak in a station's set-up, and what to do about it."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent.config import Config
from agent.inspection.finding import Finding, Look, Subject
from agent.inspection.table import AREAS
from agent.store.held import StoreHeldError, held
from host.control import RequestError, ask_now
from host.hjson import load
from host.problems import ConfigErrors, Lang, Sentences

SENTENCES: Final = "sentences.toml"


def doctor(line: argparse.Namespace) -> int:
    """Look at a station; 1 where anything is weak, 2 where its configuration cannot be read."""
    try:
        config = load(line.config, Config, line.lang)
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(problem, file=sys.stderr)
        return 2
    areas = {"security": AREAS["security"]} if line.security else AREAS
    looks = {f"{area}.{name}": look for area, rows in areas.items() for name, look in rows.items()}
    found = inspected(Subject(config, Path(line.config), running(config), _status(config)), looks)
    sentences = Sentences("agent.inspection", SENTENCES)
    told = [_told(name, one, sentences, line.lang) for name, rows in found.items() for one in rows]
    counts = {
        "looks": len(found), "well": sum(not rows for rows in found.values()),
        "weak": sum(row["state"] == "weak" for row in told), "notes": sum(row["state"] == "note" for row in told),
    }  # fmt: skip
    if line.json:
        print(json.dumps({**counts, "findings": told}, ensure_ascii=False))
    else:
        for row in told:
            word = sentences.word(row["state"], line.lang)
            print(f"{word} {row['look']}: {row['what']}\n    {row['remedy']}")
        print((sentences.word("summary", line.lang) or "").format(**counts))
    return int(counts["weak"] > 0)


def inspected(subject: Subject, looks: Mapping[str, Look]) -> dict[str, list[Finding]]:
    """What each look finds."""
    return {name: list(look(subject)) for name, look in looks.items()}


def running(config: Config) -> int | None:
    """The process that holds the store, None where the station does not run."""
    store = Path(config.store.path)
    try:
        if not (store / "lock").exists():
            return None
        with held(store):
            return None
    except StoreHeldError as error:
        return int(error.holder) if error.holder.isdecimal() else None
    except OSError:
        return None


def _status(config: Config) -> Mapping[str, Any] | None:
    """What a daemon says of itself; None where none answers."""
    try:
        return next(ask_now(config.socket, {"do": "status"}))
    except RequestError:
        return None


def _told(look: str, one: Finding, sentences: Sentences, lang: Lang) -> dict[str, Any]:
    what, remedy = sentences.say(one.code, lang, **one.values)
    return {"look": look, "code": one.code, "state": "note" if one.note else "weak", "what": what, "remedy": remedy}
