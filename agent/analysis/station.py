"""The station as a record of its configuration has it: its series, their ranges, its day."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from agent.config import Config
from agent.values.averaging import SeriesSpec
from agent.values.series import series_of
from metrology.periods import HOUR_S

Fields = Mapping[str, Any]
CHINA_H: Final = 8.0


class _Document:
    """A document by its sum."""

    def __init__(self, fields: Fields) -> None:
        self.members = fields["document"]
        self.sha256 = fields["sha256"]

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Document) and other.sha256 == self.sha256


@lru_cache(maxsize=8)
def _config(document: _Document) -> Config | None:
    """Records repeat a document at every start: each is read once."""
    try:
        return Config.model_validate(document.members)
    except ValidationError:
        # Written by a version with other keys: what it says of a series is not known.
        return None


@lru_cache(maxsize=8)
def _specs(document: _Document) -> dict[str, SeriesSpec]:
    config = _config(document)
    return {spec.series: spec for spec in series_of(config)} if config else {}


def config_in(fields: Fields | None) -> Config | None:
    """The configuration of a config record; None where the record is too long to hold it, or cannot be read."""
    return _config(_Document(fields)) if fields and "document" in fields else None


def specs_in(fields: Fields) -> dict[str, SeriesSpec]:
    """Series of the station by a config record; none where the record is too long to hold its document."""
    return _specs(_Document(fields)) if "document" in fields else {}


def spec_in(fields: Fields, series: str) -> SeriesSpec | None:
    """How a series was averaged by a config record."""
    return specs_in(fields).get(series)


def day_offset_s(fields: Fields | None) -> int:
    """How far the station's midnight lies before 00:00 UTC, in seconds; that of UTC+8 where no record says."""
    station = (fields or {}).get("document", {}).get("station", {})
    return int(station.get("day_start_utc_offset_h", CHINA_H) * HOUR_S)


def is_regulated(fields: Fields | None, series: str) -> bool:
    """Whether a series is never corrected: its instrument is regulated, or it is derived of a stack."""
    document = (fields or {}).get("document", {})
    name = series.partition(".")[0]
    block = document.get("instruments", {}).get(name)
    return block["kind"] == "regulated" if block else name in document.get("stacks", {})


def is_derived(fields: Fields | None, series: str) -> bool:
    """Whether a series is derived of a stack."""
    return series.partition(".")[0] in (fields or {}).get("document", {}).get("stacks", {})
