"""The centre's answer to a checkpoint it believes: its cosignature, kept with the verdict in the same commit.

Nothing is cosigned that the witness did not find consistent with everything before it, and a tree of one size once.
"""

import base64
from typing import Any, Final

import apsw

from protocols.mqtt.messages import Witnessed
from protocols.tlog import checkpoint_text
from protocols.tlog_cosign import Cosigner

# The newest of a long backlog: what is under them is under the newest too.
COSIGNED_MAX: Final = 50


def cosign(db: apsw.Connection, station_id: str, epoch: int, cosigner: Cosigner, at: int) -> None:
    """Cosign the consistent checkpoints behind the last cosigned one, at unix time `at` (s)."""
    tree = (station_id, epoch)
    held = newest(db, *tree)
    rows: list[Any] = db.execute(
        "SELECT size, root FROM checkpoint WHERE station_id = ? AND epoch = ? AND verdict = 'consistent'"
        " AND first >= ? AND size > ? ORDER BY size DESC LIMIT ?",
        (*tree, held.size if held else 0, held.size if held else -1, COSIGNED_MAX),
    ).fetchall()
    for size, root in rows:
        text = checkpoint_text(f"plumeline/{station_id}/{epoch}", size, base64.b64decode(root))
        row = (*tree, size, at, cosigner.cosign(text, at))
        db.execute("INSERT INTO cosignature VALUES(?, ?, ?, ?, ?)", row)


def newest(db: apsw.Connection, station_id: str, epoch: int) -> Witnessed | None:
    """The cosignature of the largest tree of an epoch; None where there is none."""
    row = db.execute(
        "SELECT size, line FROM cosignature WHERE station_id = ? AND epoch = ? ORDER BY size DESC LIMIT 1",
        (station_id, epoch),
    ).fetchone()
    return Witnessed(epoch=epoch, size=row[0], line=row[1]) if row else None
