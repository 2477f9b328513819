"""The figures the gateway bench must reach, and how they are shown."""

from typing import Any

from footprint import machine

Figures = dict[str, Any]
# What is required, by the name in the answer: the greatest, or with a minus the least that will do.
REQUIRED = {
    "cpu_percent": 8.0, "rss_mb": 60.0, "age_p95_ms": 120.0, "requests_per_s": 52.0, "bus_share": -99.0,
    "healthy_share_3_dead": -97.0, "points_per_s_max": -5000.0, "lateness_p99_ms": 20.0,
}  # fmt: skip


def summary(rows: dict[str, Figures]) -> Figures:
    """The figures of the table of requirements, as far as their scenarios ran."""
    found: Figures = {}
    if calm := rows.get("steady"):
        found |= {name: calm[name] for name in ("cpu_percent", "rss_mb", "requests_per_s")}
        found["age_p95_ms"] = calm["age_ms"]["p95"]
    if "bus" in rows:
        found["bus_share"] = rows["bus"]["healthy_share"]
    if "dead" in rows:
        found["healthy_share_3_dead"] = rows["dead"]["healthy_share"]
    if "most" in rows:
        found["points_per_s_max"] = rows["most"]["points_per_s_max"]
    if "late" in rows:
        found["lateness_p99_ms"] = rows["late"]["lateness_ms"]["p99"]
    return found


def held(name: str, value: float) -> bool:
    """Whether a figure is as good as required."""
    limit = REQUIRED[name]
    return value >= -limit if limit < 0 else value <= limit


def show(figures: Figures, others: dict[str, Figures], rows: dict[str, Figures]) -> None:
    """Print the figures with the peers' beside them, then all that was seen."""
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, Python {where['python']}, load {where['load']}\n")
    print(f"{'':<22}{'Plumeline':>12}{'required':>10}{''.join(f'{name:>20}' for name in others)}")
    for name, limit in REQUIRED.items():
        value = figures.get(name)
        bound = f"{'>=' if limit < 0 else '<='} {abs(limit):g}"
        theirs = "".join(f"{_shown(other[name]):>20}" for other in others.values())
        missed = "" if value is None or held(name, value) else "  MISSED"
        print(f"{name:<22}{_shown(value):>12}{bound:>10}{theirs}{missed}")
    for name, row in rows.items():
        print(f"\n{name}")
        for key, value in row.items():
            print(f"  {key:<18}{value}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value}"
