"""Opening databases: whose they are, who may open them, and that nothing committed is lost."""

from pathlib import Path

import apsw
import pytest

from host.sqlite import APPLICATION_ID, DatabaseRefusedError, adopt_schema, open_database

SCHEMA = "CREATE TABLE t(x INTEGER PRIMARY KEY)"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.db")


def test_settings_that_lose_nothing(path: str) -> None:
    db = open_database(path, exclusive=True, read_only=False)
    assert (db.pragma("journal_mode"), db.pragma("synchronous"), db.pragma("locking_mode")) == ("wal", 2, "exclusive")
    assert db.pragma("application_id") == APPLICATION_ID
    db.close()


def test_an_exclusive_owner_lets_nobody_in_and_needs_no_shared_memory(path: str) -> None:
    owner = open_database(path, exclusive=True, read_only=False)
    adopt_schema(owner, SCHEMA, 1)
    with pytest.raises(apsw.BusyError):
        open_database(path, exclusive=True, read_only=True)
    assert not Path(path + "-shm").exists()
    owner.close()
    open_database(path, exclusive=False, read_only=True).close()


def test_readers_see_commits_beside_the_writer_and_cannot_write(path: str) -> None:
    writer = open_database(path, exclusive=False, read_only=False)
    adopt_schema(writer, SCHEMA, 1)
    reader = open_database(path, exclusive=False, read_only=True)
    writer.execute("INSERT INTO t VALUES(1)")
    assert reader.execute("SELECT x FROM t").get == 1
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM t")
    reader.close()
    writer.close()


def test_a_transaction_that_reads_first_is_not_lost_to_another_writer(path: str) -> None:
    first = open_database(path, exclusive=False, read_only=False)
    adopt_schema(first, SCHEMA, 1)
    second = open_database(path, exclusive=False, read_only=False)
    second.set_busy_timeout(0)
    with first:
        assert first.execute("SELECT count(*) FROM t").get == 0
        with pytest.raises(apsw.BusyError), second:
            second.execute("INSERT INTO t VALUES(2)")
        first.execute("INSERT INTO t VALUES(1)")
    assert second.execute("SELECT x FROM t").get == 1
    first.close()
    second.close()


def test_a_foreign_file_is_refused_and_left_alone(path: str) -> None:
    foreign = apsw.Connection(path)
    foreign.execute("CREATE TABLE theirs(x)")
    foreign.close()
    before = Path(path).read_bytes()
    with pytest.raises(DatabaseRefusedError, match="not ours"):
        open_database(path, exclusive=False, read_only=False)
    assert Path(path).read_bytes() == before


def test_a_newer_schema_is_refused(path: str) -> None:
    db = open_database(path, exclusive=False, read_only=False)
    adopt_schema(db, SCHEMA, 2)
    adopt_schema(db, SCHEMA, 2)
    with pytest.raises(DatabaseRefusedError, match="newer"):
        adopt_schema(db, SCHEMA, 1)
    db.close()


def test_a_schema_that_fails_leaves_nothing(path: str) -> None:
    db = open_database(path, exclusive=False, read_only=False)
    with pytest.raises(apsw.SQLError):
        adopt_schema(db, SCHEMA + "; CREATE TABLE t(y)", 1)
    assert db.pragma("user_version") == 0
    assert db.execute("SELECT count(*) FROM sqlite_schema").get == 0
    db.close()
