"""Where a station's past is found: asked of its daemon where one answers, else read from its files."""

from pathlib import Path

from agent.config import Config
from agent.history.daemon import DaemonSource
from agent.history.files import FileSource
from host.control import RequestError
from host.history import History


def history_of(config: Config) -> History:
    """The past of the station of a configuration. Raises LookupError where there is neither daemon nor log."""
    asked = DaemonSource(config.socket)
    try:
        asked.epochs()
    except RequestError:
        return History(FileSource(Path(config.store.path)))
    return History(asked)
