"""Which lines of the parser the found inputs reach, and whether memory stays flat while all of them run again.

No fuzzer runs here: coverage.py counts the lines while each input that a campaign kept goes through its target once.
"""

import ast
import gc
import importlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Final

import coverage
from subjects import SUBJECTS, target_of

LINES_MIN: Final = 0.95
# A second run over all inputs may leave so much more behind than the first: caches that fill up are in it.
GROWTH_BYTES_MAX: Final = 512 * 1024

DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Target = Callable[[bytes], None]


def inputs(folder: Path, name: str) -> list[bytes]:
    """What a campaign kept."""
    return [path.read_bytes() for path in sorted((folder / name).glob("*"))]


def replay(target: Target, found: list[bytes]) -> None:
    """All of them once."""
    for one in found:
        target(one)


def growth(target: Target, found: list[bytes]) -> int:
    """Bytes that a run over all inputs leaves behind, after one that fills what is kept for good."""
    replay(target, found)
    tracemalloc.start()
    replay(target, found)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    replay(target, found)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return after - before


def spans(path: str, names: str) -> list[range]:
    """The lines of functions and classes of a file, named with commas between; of the whole file for none."""
    source = Path(path).read_text(encoding="utf-8")
    if not names:
        return [range(1, source.count("\n") + 2)]
    defined = {node.name: node for node in ast.parse(source).body if isinstance(node, DEFINITIONS)}
    return [range(defined[name].lineno, (defined[name].end_lineno or 0) + 1) for name in names.split(",")]


def lines(counter: coverage.Coverage, modules: tuple[str, ...]) -> float:
    """Print the lines reached of each module, or of what is named of it; the share over all."""
    reached = total = 0
    for entry in modules:
        module, _, names = entry.partition(":")
        path = importlib.import_module(module).__file__
        assert path is not None
        _, all_lines, _, all_missing, _ = counter.analysis2(path)
        wanted = spans(path, names)
        statements, missing = (
            [n for n in some if any(n in one for one in wanted)] for some in (all_lines, all_missing)
        )
        total += len(statements)
        reached += len(statements) - len(missing)
        print(
            f"  {module + (f' ({names})' if names else ''):<36}{len(statements) - len(missing):5} of{len(statements):5}"
            + (f"   not: {', '.join(map(str, missing))}" if missing else "")
        )
    return reached / max(1, total)


def cover(subject: str, folder: Path) -> int:
    """Count lines over the corpora of all targets, then look at memory."""
    of = SUBJECTS[subject]
    packages = sorted({name.partition(".")[0] for name in (*of.parser, *of.more)})
    counter = coverage.Coverage(source_pkgs=packages, data_file=None)
    counter.start()
    targets = {name: target_of(subject, name).one_input for name in of.targets}
    found = {name: inputs(folder, f"{subject}-{name}") for name in targets}
    for name, target in targets.items():
        replay(target, found[name])
    counter.stop()
    print(f"inputs: {', '.join(f'{len(found[name])} of {name}' for name in targets)}")
    print("parser:")
    parser = lines(counter, of.parser)
    if of.more:
        print("beside it:")
        print(f"  lines reached: {lines(counter, of.more):.1%}")
    print(f"lines reached: parser {parser:.1%}; wanted {LINES_MIN:.0%}")
    grown = {name: growth(target, found[name]) for name, target in targets.items()}
    print("memory left behind by one more run: " + ", ".join(f"{name} {size} bytes" for name, size in grown.items()))
    return 0 if parser >= LINES_MIN and max(grown.values()) <= GROWTH_BYTES_MAX else 1
