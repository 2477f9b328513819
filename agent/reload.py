"""SIGHUP: the configuration is read again and instruments that changed are replaced, one at a time.

A file with errors, or with a change that a running station does not take over, leaves everything as it is and is an
event. The check runs in a process of its own, as at the start: its libraries would stay in the daemon's memory.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.changes import author, changed_instruments, config_fields, document_of, needs_restart
from agent.config import Config, Instrument
from agent.values.series import ranges_of, serials_of, series_of
from agent.wires.bus import backoff_caps
from agent.wires.poller import Poller
from agent.wires.sources import poller_of
from drivers.base import StreamDriver
from drivers.registry import stream_driver
from host.hjson import load
from host.problems import ConfigErrors

if TYPE_CHECKING:
    from agent.daemon import Daemon

CHECK_WALL_S: Final = 60.0
# An event names so many reasons; the journal names all.
REASONS_MAX: Final = 20
# What of a block its driver is made of; the rest of a block changes without another driver.
MADE_OF: Final = ("options", "unit", "poll_s")

logger = logging.getLogger(__name__)


class RefusedChangeError(Exception):
    """A file that changes nothing, with every reason."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Replacement:
    """One instrument set anew: its new block, the whole configuration from then on, and what asks or hears it."""

    name: str
    block: Instrument
    config: Config
    poller: Poller | None
    driver: StreamDriver | None


class Reloader:
    """One for a daemon. `ask` is what the signal calls; signals that come during a reload are one more reload."""

    def __init__(self, daemon: "Daemon", path: Path) -> None:
        self._daemon = daemon
        self._path = path
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the file read again."""
        self._asked.set()

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            by = author(self._path)
            try:
                replacements = self._prepared(await self._read())
            except RefusedChangeError as error:
                for reason in error.reasons:
                    logger.error("%s", reason)
                reasons = [*error.reasons[:REASONS_MAX], *(["..."] if len(error.reasons) > REASONS_MAX else [])]
                self._daemon.event("configuration-refused", {"origin": "SIGHUP", "by": by, "reasons": reasons})
                continue
            for replacement in replacements:
                await self._carry_out(replacement, by)
            logger.info("%s read again, instruments set anew: %d", self._path, len(replacements))

    async def _read(self) -> Config:
        """The file's configuration, checked. Raises RefusedChangeError."""
        before = self._stamp()
        reasons = await self._found_wrong()
        if reasons:
            raise RefusedChangeError(reasons)
        try:
            config = await asyncio.to_thread(load, self._path, Config)
        except ConfigErrors as errors:
            raise RefusedChangeError([str(problem) for problem in errors.problems]) from errors
        if self._stamp() != before:
            raise RefusedChangeError([f"{self._path} changed while it was read: send SIGHUP again"])
        return config

    def _stamp(self) -> tuple[int, ...] | None:
        """What tells one state of the file from another; None where there is no file."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    async def _found_wrong(self) -> list[str]:
        """Errors that `plumeline check` finds in the file."""
        line = (sys.executable, "-m", "agent", "--lang", "en", "check", str(self._path), "--json")
        checking = await asyncio.create_subprocess_exec(
            *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(CHECK_WALL_S):
                out, said = await checking.communicate()
        except TimeoutError:
            return [f"{self._path}: not checked within {CHECK_WALL_S:g} s"]
        finally:
            if checking.returncode is None:
                checking.kill()
        try:
            found = json.loads(out)
        except ValueError:
            return [f"{self._path}: the check itself failed: {said.decode(errors='replace')[-300:]}"]
        return [
            f"{one['path']}:{one['line']}:{one['column']}: {one['what']} {one['remedy']}"
            for one in found
            if one["severity"] == "error"
        ]

    def _prepared(self, new: Config) -> list[Replacement]:
        """Everything that is needed, made before the first thing is touched. Raises RefusedChangeError."""
        old = self._daemon.config
        reasons = [f"{key}: takes effect at a restart of the station" for key in needs_restart(old, new)]
        changed = changed_instruments(old, new)
        running = sorted(self._daemon.calibrator.instruments.intersection(changed))
        reasons += [f"instruments.{name}: in a run; send SIGHUP again when it has ended" for name in running]
        if not reasons:
            reasons = list(self._unfit(new, changed))
        if reasons:
            raise RefusedChangeError(reasons)
        return list(self._replacements(new, changed))

    def _unfit(self, new: Config, changed: list[str]) -> Iterator[str]:
        """Changes of options or address that reach beyond the instrument itself."""
        for name in changed:
            block = new.instruments[name]
            if not self._is_remade(name, block):
                continue
            if listener := self._daemon.sources.listeners.get(block.bus):
                if sum(other.bus == block.bus for other in new.instruments.values()) > 1:
                    yield f"instruments.{name}: shares the driver of its line; takes effect at a restart of the station"
                measurands, made = listener.measurands, self._stream(name, block).measurands
            else:
                measurands, made = self._daemon.sources.pollers[name].measurands, self._poller(name, block).measurands
            if made != measurands:
                yield f"instruments.{name}.options: other measurands or units; takes effect at a restart of the station"

    def _replacements(self, new: Config, changed: list[str]) -> Iterator[Replacement]:
        config = self._daemon.config
        for name in changed:
            block = new.instruments[name]
            config = config.model_copy(update={"instruments": {**config.instruments, name: block}})
            remade, heard = self._is_remade(name, block), block.bus in self._daemon.sources.listeners
            yield Replacement(
                name,
                block,
                config,
                self._poller(name, block) if remade and not heard else None,
                self._stream(name, block) if remade and heard else None,
            )

    def _is_remade(self, name: str, block: Instrument) -> bool:
        old = self._daemon.config.instruments[name]
        return any(getattr(old, key) != getattr(block, key) for key in MADE_OF)

    def _poller(self, name: str, block: Instrument) -> Poller:
        daemon = self._daemon
        offset_s = daemon.sources.pollers[name].offset_s
        return poller_of(name, block, daemon.buses[block.bus], daemon.intake.take, daemon.clock, offset_s)

    def _stream(self, name: str, block: Instrument) -> StreamDriver:
        return stream_driver(block.driver, {block.unit or 0: name}, block.options)

    async def _carry_out(self, one: Replacement, by: Mapping[str, Any]) -> None:
        """Between two polls of the instrument: the record, then the new block in force everywhere."""
        daemon = self._daemon
        if one.poller is None:
            self._put_in_force(one, by)
            if listener := daemon.sources.listeners.get(one.block.bus):
                listener.change(one.name, one.block, one.driver)
            return
        async with daemon.sources.pollers[one.name].busy:
            unit = daemon.config.instruments[one.name].unit
            self._put_in_force(one, by)
            cap = backoff_caps(one.config)[one.block.bus][one.block.unit]
            daemon.buses[one.block.bus].replace(unit, one.block.unit, cap)
            daemon.replace_poller(one.name, one.poller)

    def _put_in_force(self, one: Replacement, by: Mapping[str, Any]) -> None:
        """The record comes first: what follows it in the log was taken by the new block."""
        daemon = self._daemon
        old, daemon.config = daemon.config, one.config
        former = document_of(old)
        fields = config_fields(one.config, daemon.clock.rate, former=former, origin="SIGHUP", by=by)
        daemon.log.post("config", fields)
        logger.info("instrument %s set anew: %s", one.name, json.dumps(fields["changes"], ensure_ascii=False))
        daemon.intake.ranges.update(ranges_of(one.config))
        daemon.serials.clear()
        daemon.serials.update(serials_of(one.config))
        daemon.identities.set_anew(one.name, one.block)
        now = daemon.clock.now()
        before = {spec.series: spec.expected for spec in series_of(old)}
        for spec in series_of(one.config):
            if spec.expected != before[spec.series]:
                daemon.averager.expect(spec.series, spec.expected, now)
