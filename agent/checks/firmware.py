"""Rules for the management of boards: what is named exists, what it needs is there."""

from importlib.util import find_spec
from pathlib import Path

from agent.checks.findings import Findings
from agent.config import Config


def check_firmware(config: Config, find: Findings) -> None:
    """Check the block `firmware`. Nothing in it keeps a station from measuring: what is missing is a warning."""
    firmware = config.firmware
    if firmware is None:
        return
    for name in firmware.links:
        find.known("instrument-unknown", name, config.instruments, "firmware", "links", name, at_key=True)
    if not Path(firmware.key).is_file():
        find.warn("firmware-key", "firmware", "key", path=firmware.key)
    if find_spec("smp") is None:
        find.warn("firmware-codec", "firmware", at_key=True)
