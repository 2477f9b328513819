"""Audits the components a station runs: known vulnerabilities by pip-audit, licences by pip-licenses."""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from agent.update.software import OURS, Component, components

# Licences that let a station be run, sold and changed; of several that a component offers one must be here.
ALLOWED = {
    "AFL", "Academic Free License (AFL)", "Apache Software License", "Apache-2.0", "BSD License", "BSD-2-Clause",
    "BSD-3-Clause", "ISC", "MIT", "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0", "Python Software Foundation License",
    "any-OSI",
}  # fmt: skip
# What is used as it is, unchanged and replaceable: a weak copyleft allows that.
UNCHANGED = {"fpdf2": "LGPL-3.0-only"}
AUDIT_EXTRA = 'python -m pip install -c constraints.txt -e ".[audit]"'


def unfit(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Components whose licence is not on the list."""
    found = []
    for row in rows:
        offered = {one.strip() for one in re.split(r";| OR ", row["License"])}
        if not offered & ALLOWED and UNCHANGED.get(row["Name"].lower()) != row["License"]:
            found.append(row)
    return found


def licences(of: list[Component]) -> list[dict[str, str]]:
    """What each component says of its licence."""
    words = ["--format=json", "--from=mixed", "--packages", *(one.name for one in of)]
    program = str(Path(sys.executable).with_name("pip-licenses"))
    told = subprocess.run([program, *words], check=True, capture_output=True, text=True)
    rows: list[dict[str, str]] = json.loads(told.stdout)
    return rows


def vulnerable(of: list[Component], service: str) -> list[dict[str, Any]] | None:
    """Components with known vulnerabilities; None where the database could not be asked."""
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch, "components.txt")
        listed.write_text("".join(f"{one.name}=={one.version}\n" for one in of), encoding="ascii")
        how = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json", "-s", service]
        program = [sys.executable, "-m", "pip_audit", "-r", str(listed), *how]
        ended = subprocess.run(program, check=False, capture_output=True, text=True)
    try:
        found = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(ended.stderr.strip()[-500:], file=sys.stderr)
        return None
    return [one for one in found if one.get("vulns")]


def main() -> int:
    """Audit; 0 nothing found, 1 something, 2 no database reached or no tools."""
    line = argparse.ArgumentParser(prog="tools/audit", description=__doc__)
    line.add_argument("--json", action="store_true")
    line.add_argument("--licences-only", action="store_true", help="ask no database")
    line.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="which database of vulnerabilities")
    arguments = line.parse_args()
    if importlib.util.find_spec("pip_audit") is None or importlib.util.find_spec("piplicenses") is None:
        print(f"the audit tools are not installed: {AUDIT_EXTRA}", file=sys.stderr)
        return 2
    others = [one for one in components() if one.name != OURS]
    bad = unfit(licences(others))
    known = [] if arguments.licences_only else vulnerable(others, arguments.service)
    if arguments.json:
        print(json.dumps({"components": len(others), "licences": bad, "vulnerable": known}, indent=1))
    else:
        print(f"{len(others)} components; licences not on the list: {len(bad)}")
        print(
            *(f"  {row['Name']} {row['Version']}: {row['License']}" for row in bad), sep="\n", end="\n" if bad else ""
        )
        if not arguments.licences_only:
            print(
                "vulnerabilities: " + ("no database could be reached" if known is None else f"{len(known)} components")
            )
        for one in known or ():
            print(f"  {one['name']} {one['version']}: {', '.join(each['id'] for each in one['vulns'])}")
    return 1 if bad or known else 2 if known is None else 0


if __name__ == "__main__":
    sys.exit(main())
