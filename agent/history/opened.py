"""Where a station's past is found: asked of its daemon where one answers, else read from its files."""

from contextlib import suppress
from pathlib import Path

from agent.config import Config
from agent.history.daemon import DaemonSource
from agent.history.files import FileSource
from host.control import RequestError
from host.history import History
from host.secrets import SecretError, read_secret
from protocols.tlog import NoteError, signer_from_seed


def source_of(config: Config) -> DaemonSource | FileSource:
    """The past of the station of a configuration. Raises LookupError where there is neither daemon nor log."""
    asked = DaemonSource(config.socket)
    try:
        asked.epochs()
    except RequestError:
        return FileSource(Path(config.store.path), own_vkey(config))
    return asked


def history_of(config: Config) -> History:
    """The same, with its questions."""
    return History(source_of(config))


def own_vkey(config: Config) -> str | None:
    """The key checkpoints are verified by, where its secret half may be read."""
    with suppress(SecretError, NoteError, OSError, UnicodeDecodeError):
        return signer_from_seed(read_secret(config.ledger.key).decode(), f"plumeline/{config.station.id}").vkey
    return None
