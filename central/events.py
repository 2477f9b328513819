"""Events of the store. An event's id is made of what it is about, so that a repeat is the same event."""

import json
from collections.abc import Mapping
from typing import Any

import apsw


def put_event(
    db: apsw.Connection,
    key: str,
    station_id: str,
    at: str,
    what: str,
    detail: Mapping[str, Any],
    origin: str = "centre",
) -> None:
    """Add an event once; `key` is unique within the station, `detail` becomes JSON."""
    db.execute(
        "INSERT INTO event VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (f"{station_id}/{key}", station_id, at, what, origin, json.dumps(detail, sort_keys=True)),
    )
