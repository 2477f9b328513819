"""Names of analysis layers: what was made again beside a regulated series, never in its place (design 13.1)."""

from typing import Final

LAYER: Final = "~analysis"


def layer_of(series: str) -> str:
    """Name of the analysis layer beside a regulated series."""
    instrument, _, measurand = series.partition(".")
    return f"{instrument}{LAYER}.{measurand}"


def base_of(series: str) -> str:
    """The series that was measured, of one that may be an analysis layer."""
    return series.replace(LAYER, "")


def is_layer(series: str) -> bool:
    """Whether a series was made again beside a regulated one."""
    return LAYER in series
