"""`plumeline process`: recorded instrument files through the same chain, without a station."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.words import say
from agent.recorded.chain import ChainError
from agent.recorded.gc import SAMPLES, GcError
from agent.recorded.gc import results as bracketed
from agent.recorded.output import AVERAGES, PLATEAUS, average, clash, number, plateau, table
from agent.recorded.rules import Rules
from agent.recorded.run import Task, results
from agent.recorded.summary import Summary
from calibration.recorded.averaging import Average
from calibration.recorded.plateaus import Plateau
from host.hjson import load
from host.problems import ConfigErrors, Lang


def process(line: argparse.Namespace) -> int:
    """Write the averages and plateaus.

    1 where a file gave no row, or rows came too late to count; 2 where a file or the rules cannot be read.
    """
    try:
        rules = load(line.rules, Rules, line.lang) if line.rules else Rules()
        names = frozenset(name.strip().lower() for name in line.species.split(",") if name.strip())
        task = Task(line.recorded, line.format, line.average, rules, names, line.utc)
        summary = Summary()
        if (path := clash([*line.recorded, *filter(None, [line.rules])], [line.out, line.plateaus])) is not None:
            print(say("process.clash", line.lang, file=path), file=sys.stderr)
            return 2
        with contextlib.ExitStack() as stack:
            put = stack.enter_context(table(line.out, AVERAGES, as_json=line.json))
            tank = stack.enter_context(table(line.plateaus, PLATEAUS)) if line.plateaus else None
            for one in _results(task, summary, line, stack):
                if isinstance(one, Average):
                    put(average(one, utc=line.utc))
                elif tank is not None:
                    tank(plateau(one, utc=line.utc))
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    except GcError as error:
        print(say("process.gc", line.lang, error=error), file=sys.stderr)
        return 2
    except ChainError as error:
        print(say("process.long", line.lang, limit=error), file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(say("process.file", line.lang, error=error), file=sys.stderr)
        return 2
    if line.json:
        print(json.dumps({"summary": summary.fields()}, ensure_ascii=False))
    else:
        print("\n".join(_told(summary, line.lang)), file=sys.stderr)
    return int(bool(summary.empty or summary.late))


def _results(
    task: Task, summary: Summary, line: argparse.Namespace, stack: contextlib.ExitStack
) -> Iterator[Average | Plateau]:
    if task.format != "gc-peaks":
        return results(task, summary, plateaus=bool(line.plateaus))
    put = stack.enter_context(table(line.samples, SAMPLES)) if line.samples else None
    return bracketed(task, summary, put)


def _told(summary: Summary, lang: Lang) -> list[str]:
    """The summary as people read it."""
    lines = [say("process.rows", lang, **summary.fields())]
    for name, count in sorted(summary.causes.items()):
        lines.append(say("process.cause", lang, cause=name, count=count))
    for why, count in sorted(summary.refused.items()):
        lines.append(say("process.refused", lang, why=say(f"process.why.{why}", lang), count=count))
    for file, one in summary.findings:
        lines.append(f"{file}:{one.line}: {say(f'process.why.{one.why}', lang)} {one.detail}".rstrip())
    for species, one in summary.calibration.items():
        lines += _calibrated(species, one, lang)
    lines += [
        say("process.expired", lang, cylinder=name, count=count) for name, count in sorted(summary.expired.items())
    ]
    lines += [say("process.empty", lang, file=file) for file in summary.empty]
    return lines


def _calibrated(species: str, one: Mapping[str, Any], lang: Lang) -> list[str]:
    told = {name: one[name] for name in ("calibrations", "periods")}
    rest = {"rejected": len(one["rejected"]), "uncertainty": number(one["uncertainty"]) or "-"}
    lines = [say("process.calibrated", lang, species=species, **told, **rest)]
    for found in one["findings"]:
        words = (found["what"], found["about"], number(found["size"]), found["unit"], found["text"])
        lines.append("  " + " ".join(word for word in words if word))
    return lines
