"""Opening SQLite files by apsw: settings that lose nothing, and a refusal of files that are not ours or newer than us.

Sources: sqlite.org/pragma.html (journal_mode, synchronous, locking_mode, application_id, user_version, query_only).
"""

import contextlib
from typing import Final

import apsw

APPLICATION_ID: Final = 0x504C554D  # "PLUM"
BUSY_MS: Final = 5000
CHECKPOINT_BYTES: Final = 800 * 1024
PAGE_BYTES: Final = 4096


class DatabaseRefusedError(Exception):
    """The file belongs to another program or to a newer version of this one."""


def open_database(
    path: str, *, exclusive: bool, read_only: bool, fold: bool = True, page_bytes: int = PAGE_BYTES
) -> apsw.Connection:
    """Open (and unless read only, create) a database in WAL mode with `synchronous=FULL`.

    `exclusive` lets no second connection in, readers included, and needs no shared-memory file. Without `fold` the end
    of the connection leaves the write-ahead file as it is (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE). `page_bytes` is for a new
    file; `path` may be an URI (`file:`, sqlite.org/uri.html). Raises DatabaseRefusedError for a foreign file and
    apsw.Error where SQLite cannot open it.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(path, flags=flags | (apsw.SQLITE_OPEN_URI if path.startswith("file:") else 0))
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(not fold))
        # Before the first access to the WAL: an exclusive owner never creates the -shm file. In exclusive mode BUSY
        # means a second owner, which is an error at once and nothing to wait for.
        connection.set_busy_timeout(0 if exclusive else BUSY_MS)
        if exclusive:
            connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("page_size", page_bytes)
        _own(connection, path, read_only)
        connection.pragma("foreign_keys", True)
        connection.pragma("mmap_size", 0)
        undo.pop_all()
    return connection


def _own(connection: apsw.Connection, path: str, read_only: bool) -> None:
    found = connection.pragma("application_id")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if found != APPLICATION_ID and not (found == 0 and empty):
        raise DatabaseRefusedError(f"{path}: application id {found:#x} is not ours: another program's file")
    if read_only:
        connection.pragma("query_only", True)
        return
    # A transaction that reads before it writes must not lose its place to another process's commit.
    connection.transaction_mode = "IMMEDIATE"
    if (mode := connection.pragma("journal_mode", "WAL")) != "wal" and connection.db_filename("main"):
        raise DatabaseRefusedError(f"{path}: journal mode stays {mode}, WAL is needed: is it on a network disk?")
    connection.pragma("synchronous", "FULL")
    connection.pragma("wal_autocheckpoint", CHECKPOINT_BYTES // int(connection.pragma("page_size")))
    if found != APPLICATION_ID:
        connection.pragma("application_id", APPLICATION_ID)


def adopt_schema(connection: apsw.Connection, schema: str, version: int) -> None:
    """Create the tables of a new file in one transaction; refuse a file of a newer version (DatabaseRefusedError).

    `schema` is SQL without transaction statements; `version` (1 or more) is kept as `user_version`.
    """
    found = connection.pragma("user_version")
    if found > version:
        raise DatabaseRefusedError(f"schema version {found} is newer than this program's {version}: update the program")
    if found == 0:
        with connection:
            connection.execute(schema)
            connection.pragma("user_version", version)
