"""The figures the gateway bench must reach, and how they are shown."""

from typing import Any

from footprint import machine

Figures = dict[str, Any]
# What is required, by the name in the answer: the greatest, or with a minus the least that will do.
REQUIRED = {
    "cpu_percent": 8.0, "rss_mb": 60.0, "age_p95_ms": 120.0, "requests_per_s": 52.0, "healthy_share_3_dead": -97.0,
    "points_per_s_max": -5000.0, "lateness_p99_ms": 20.0,
}  # fmt: skip


def summary(rows: dict[str, Figures]) -> Figures:
    """The figures of the table of requirements, as far as their scenarios ran."""
    found: Figures = {}
    if calm := rows.get("steady"):
        found |= {name: calm[name] for name in ("cpu_percent", "rss_mb", "requests_per_s")}
        found["age_p95_ms"] = calm["age_ms"]["p95"]
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


def show(figures: Figures, rows: dict[str, Figures], others: Figures) -> None:
    """Print the figures, then all that was seen."""
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, Python {where['python']}, load {where['load']}\n")
    for name, value in figures.items():
        limit = REQUIRED[name]
        print(f"{name:<22}{value:>10}  required {'>=' if limit < 0 else '<='} {abs(limit):g}"
              f"{'' if held(name, value) else '  MISSED'}")  # fmt: skip
    for name, row in (rows | others).items():
        print(f"\n{name}")
        for key, value in row.items():
            print(f"  {key:<18}{value}")
