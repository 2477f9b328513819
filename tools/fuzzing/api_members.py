"""What the stations' requests take: members that bring each as far as it comes."""

import os
from pathlib import Path
from typing import Any, Final

MEMORY: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
FOLDER: Final = MEMORY / f"plumeline-fuzz-api-{os.getuid()}"
T: Final = "2026-05-01T08:00:00Z"
# Of an `archived`: what was signed here, which no input can know.
ITS: Final = "its root"
WHO: Final = {"who": "li", "reason": "test"}
SINCE: Final = {"from": "2026-04-01T00:00:00Z", "to": "2026-04-02T00:00:00Z"}
CERTIFICATE: Final = {
    "number": "C-2", "certified": "2026-01-01", "expires": "2030-01-01",
    "assigned": {"co2": {"value": 402.5, "uncertainty": 0.1, "unit": "umol/mol", "scale": "WMO CO2 X2019"}},
}  # fmt: skip
CYLINDER: Final = {
    "name": "new", "number": "N1", "fill": "1", "supplier": "S", "volume_L": 8, "pressure_bar": 100,
    "certificate": CERTIFICATE, "roles": {"co2": "span"},
}  # fmt: skip
BOARD: Final = {"board": "board-01", "measurand": "ch4", **WHO}
# Members that bring each request as far as it comes; what is not named here takes none.
MEMBERS: Final[dict[str, dict[str, Any]]] = {
    "act": {"act": {"do": "sign-in", "outcome": "done"}},
    "archive-root": {"file": "log-0001-000000000000.db"},
    "archived": {
        "file": "log-0001-000000000000.db", "epoch": 1, "size": 2, "medium": "usb", "root": ITS,
        "sha256": "00" * 32, **WHO,
    },
    "board-calibration-set": {**BOARD, "zero": 0.1, "slope": 1.0, "model": "linear", "from": T, "terms": {}},
    "board-calibration-import": {"rows": [{"board": "board-01", "measurand": "ch4", "zero": "0", "slope": "1"}], **WHO},
    "board-calibration-show": BOARD,
    "board-calibration-confirm": BOARD,
    "board-drift-accept": {**BOARD, "proposal": "p-1"},
    "board-colocate": {**BOARD, **SINCE, "reference": "crds.ch4", "u": 0.5},
    "board-colocate-accept": {**BOARD, "proposal": "p-1"},
    "cylinder": {"name": "target", "lang": "en"},
    "cylinder-add": {"cylinder": CYLINDER, "lang": "zh", **WHO},
    "cylinder-revalue": {"name": "target", "certificate": CERTIFICATE, **WHO},
    "cylinder-pressure": {"name": "target", "pressure": {"value": 80.5, "unit": "bar"}, **WHO},
    "cylinder-roles": {"name": "target", "roles": {"roles": {"co2": "span"}}, **WHO},
    "cylinder-install": {"name": "target", "place": "target", **WHO},
    "cylinder-remove": {"name": "target", **WHO},
    "cylinder-retire": {"name": "target", **WHO},
    "cylinder-assign": {"name": "target", "assignment": {"runs": ["r-1"], "series": "crds.co2"}, **WHO},
    "history-indexed": {
        "kind": "average", "what": [], "period_s": 60, "since": ["", 0, 0], "until": "9", "limit": 10,
    },
    "history-newest": {"kind": "config", "what": [], "before": "9"},
    "history-numbered": {"epoch": 1, "after": -1, "kinds": ["config", "event"], "limit": 10},
    "history-seq-at": {"epoch": 1, "at": T},
    "history-tree-before": {"epoch": 1, "seq": 1},
    "hold-set": {**SINCE, **WHO},
    "hold-lift": {"hold": "h-1", **WHO},
    "instrument-confirm": {"name": "crds", **WHO},
    "key-rotate": {"key": {"file": str(FOLDER / "new-key")}, **WHO},
    "maintenance": {"on": True, "until": "2026-05-02T08:00:00Z", **WHO},
    "calibrate-abort": WHO,
    "qa-adjusted": {"name": "crds.co2", **WHO},
    "qa-intervals": {"series": ["crds.co2"]},
    "qa-signoff": {"period": "2026-04", "verdict": "station-checked", "series": [], **WHO},
    "report-sign": {
        "kind": "drift", "since": SINCE["from"], "until": SINCE["to"], "twin": "00" * 32, "page": None, **WHO,
    },
    "recompute": {
        "series": ["crds.co2_dry"], "start": SINCE["from"], "end": SINCE["to"], "plan": {"rules": []},
        "dry_run": True, **WHO,
    },
}  # fmt: skip

# Requests that once ended in an internal error, and what came behind them.
BROKE: Final = (
    {"do": "history-indexed", **MEMBERS["history-indexed"], "period_s": 2**63},
    {"do": "history-indexed", **MEMBERS["history-indexed"], "since": ["", 2**63, 0]},
    {"do": "history-numbered", **MEMBERS["history-numbered"], "after": -(2**64)},
    {"do": "cylinder-assign", **MEMBERS["cylinder-assign"], "assignment": {
        "runs": ["0001-01-01T00:00:00.000Z"], "series": "crds.co2"}},
    {"do": "cylinder-revalue", **MEMBERS["cylinder-revalue"], "certificate": {**CERTIFICATE, "assigned": {
        "co2": {"value": 402.5, "uncertainty": 1e300, "unit": "umol/mol", "scale": "WMO CO2 X2019"}}}},
    {"do": "cylinder-roles", **MEMBERS["cylinder-roles"]},
)  # fmt: skip
