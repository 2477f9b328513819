"""`plumeline kv`: a velocity-field coefficient from a comparison, as a block to file."""

import argparse
import json
import sys
from dataclasses import asdict

from agent.cli.words import say
from host.problems import ConfigErrors, Lang
from host.sheets import Sheet
from metrology.stack.velocity_field import PRECISION_PERCENT_MAX, Determination, determine

BLOCK = """{{
  id: "kv-..."
  value: {value:.4f}
  repeatability: {u:.4f}
  reference: "on-site" // or national-facility
  determined: "..."
  filed: "..."
  valid_from: "..."
  filed_by: "..."
  authority: "..."
  reason: "comparison of {pairs} pairs, ..."
}}"""


def kv(line: argparse.Namespace) -> int:
    """Print the coefficient; 1 where its scatter is beyond the limit, 2 where the file cannot be read."""
    sheet = Sheet(line.pairs, "kv", line.lang)
    rows = list(sheet.rows())
    for number, row in rows:
        for name in ("reference_m_s", "probe_m_s"):
            if row[name] <= 0.0:
                sheet.refuse(number, name, "kv-positive")
    if not sheet.problems and len(rows) < 2:
        sheet.refuse(1, None, "kv-few")
    try:
        sheet.done()
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    found = determine([row["reference_m_s"] for _, row in rows], [row["probe_m_s"] for _, row in rows])
    scattered = found.relative_sd_percent > PRECISION_PERCENT_MAX
    if line.json:
        print(json.dumps({**asdict(found), "limit_percent": PRECISION_PERCENT_MAX, "limit_verified": False}))
    else:
        print(_told(found, line.lang, scattered=scattered))
    return int(scattered)


def _told(found: Determination, lang: Lang, *, scattered: bool) -> str:
    words = {"value": f"{found.value:.4f}", "u": f"{found.u:.4f}", "pairs": found.pairs,
             "scatter": f"{found.relative_sd_percent:.2f}", "limit": f"{PRECISION_PERCENT_MAX:g}"}  # fmt: skip
    verdict = say("kv.scattered" if scattered else "kv.steady", lang, **words)
    return "\n".join([say("kv.found", lang, **words), verdict, BLOCK.format(**asdict(found))])
