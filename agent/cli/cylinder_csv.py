"""Certificates of cylinders from a CSV file: one line for each cylinder and measurand, columns by their names."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

NEEDED: Final = ("name", "number", "certificate", "measurand", "value", "uncertainty", "unit", "scale")
TEXTS: Final = ("fill", "supplier", "lot", "certified", "expires")
NUMBERS: Final = ("volume_L", "filling_pressure_bar", "u_measurement", "repeat_sd")
COLUMNS: Final = (*NEEDED, *TEXTS, *NUMBERS)
# As spreadsheets write it here.
ENCODINGS: Final = ("utf-8-sig", "gb18030")
Row = Mapping[str, str]


class CertificateFileError(ValueError):
    """A file that is not taken over, with line and column; nothing of it was."""


def cylinders_in(path: Path) -> list[dict[str, Any]]:
    """Cylinders as `cylinder-add` takes them, in the order of the file. Raises CertificateFileError, OSError."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for line, row in _rows(path):
        where = f"{path}:{line}"
        empty = [name for name in NEEDED if not row.get(name)]
        if empty:
            raise CertificateFileError(f"{where}: {', '.join(empty)}: nothing there")
        key = row["number"], row.get("fill", ""), row["certificate"]
        one = found.setdefault(key, _cylinder(row, where))
        assigned = one["certificate"]["assigned"]
        if row["measurand"] in assigned:
            raise CertificateFileError(f"{where}: {row['measurand']} of {row['number']} stands there twice")
        assigned[row["measurand"]] = _value(row, where)
    if not found:
        raise CertificateFileError(f"{path}: no line below the head")
    return list(found.values())


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(_text(path).splitlines(), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    unknown, missing = [n for n in names if n not in COLUMNS], [n for n in NEEDED if n not in names]
    if unknown or missing:
        told = [f"unknown column {name}" for name in unknown] + [f"no column {name}" for name in missing]
        raise CertificateFileError(f"{path}:1: {'; '.join(told)}; columns are {', '.join(COLUMNS)}")
    reader.fieldnames = names
    for row in reader:
        if None in row or None in row.values():
            raise CertificateFileError(f"{path}:{reader.line_num}: not as many fields as the head has")
        yield reader.line_num, {name: text.strip() for name, text in row.items()}


def _text(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CertificateFileError(f"{path}: neither UTF-8 nor GB 18030")


def _cylinder(row: Row, where: str) -> dict[str, Any]:
    paper = {"number": row["certificate"], "assigned": {}, **_texts(row, ("certified", "expires"))}
    more = _texts(row, ("fill", "supplier", "lot")) | _numbers(row, ("volume_L", "filling_pressure_bar"), where)
    return {"name": row["name"], "number": row["number"], **more, "certificate": paper}


def _value(row: Row, where: str) -> dict[str, Any]:
    numbers = _numbers(row, ("value", "uncertainty", "u_measurement", "repeat_sd"), where)
    return {**numbers, "unit": row["unit"], "scale": row["scale"]}


def _texts(row: Row, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name)}


def _numbers(row: Row, names: tuple[str, ...], where: str) -> dict[str, Any]:
    found = {}
    for name in names:
        if row.get(name):
            try:
                found[name] = float(row[name])
            except ValueError as error:
                raise CertificateFileError(f"{where}: {name}: {row[name]} is no number") from error
    return found
