"""What a station does with its boards when a person asks: who they are, and new firmware. Loaded when first asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from smp.image_management import ImageStatesReadResponse

from agent.config import Config
from agent.firmware.batch import Batch
from agent.firmware.jobs import Jobs
from agent.firmware.line import BoardLine
from agent.firmware.links import FrameLink, Link, WireLink
from agent.values.intake import Intake
from agent.wires.bus_wire import OnEvent
from firmware_bridge.image import IMAGE_BYTES_MAX, Image, ImageError, check_signature, read_image
from firmware_bridge.rollout import Rollout
from firmware_bridge.smp_talk import Refusal, Send, Silence, Talk, Talker
from firmware_bridge.update import slots
from host.control import RequestError
from metrology.clock import Clock

STATUS_WALL_S: Final = 0.5
BOARDS_AT_ONCE: Final = 16


async def talked(talk: "Talk[Any]", link: Link) -> Any:
    """Carry a short conversation; its end."""
    answer: bytes | None = None
    while True:
        try:
            step: Send = talk.send(answer)
        except StopIteration as end:
            return end.value
        answer = await link.ask(step.message, step.timeout_s)


class FirmwareDesk:
    """The boards of one station. One batch runs at a time, in the daemon: who asked for it may go away."""

    def __init__(
        self, config: Config, lines: Mapping[str, BoardLine], intake: Intake, clock: Clock, event: OnEvent, jobs: Jobs
    ) -> None:
        if config.firmware is None:
            raise RequestError("the configuration has no block `firmware`: plumeline config explain firmware")
        self._config = config
        self._firmware = config.firmware
        self._intake = intake
        self._clock = clock
        self._event = event
        self._jobs = jobs
        self._batch: Batch | None = None
        self._links: dict[str, Link] = {
            name: FrameLink(line, board) for line in lines.values() for board, name in line.boards.units.items()
        }
        self._links |= {name: WireLink(link, clock) for name, link in self._firmware.links.items()}

    # -- list

    async def listed(self) -> dict[str, Any]:
        """Every board that can be reached, asked what it runs."""
        gate = asyncio.Semaphore(BOARDS_AT_ONCE)
        busy = self._batch.rollout.running if self._batch else set()

        async def asked(name: str, link: Link) -> dict[str, Any]:
            if name in busy:
                return {"board": name, "line": link.line, "state": "updating"}
            async with gate:
                try:
                    return {"board": name, "line": link.line, **_row(await talked(slots(Talker()), link))}
                finally:
                    link.close()

        rows = await asyncio.gather(*(asked(name, link) for name, link in self._links.items()))
        return {"boards": list(rows), "batch": self._batch.status() if self._batch else None}

    # -- update

    async def update(self, request: Mapping[str, Any], who: str) -> AsyncIterator[dict[str, Any]]:
        """Start a batch; its state once a second until it ended."""
        batch = await self._made(request, who)
        self._batch = batch
        self._jobs.put(batch.run(self._intake, self._clock, self._event))
        while not batch.rollout.ended:
            yield batch.status()
            await self._clock.sleep_wall(STATUS_WALL_S)
        yield batch.status()

    async def _made(self, request: Mapping[str, Any], who: str) -> Batch:
        if self._batch and not self._batch.rollout.ended:
            raise RequestError("a batch runs: plumeline firmware list shows it, plumeline firmware stop ends it")
        boards = self._chosen(request.get("boards"))
        lines = {board: self._links[board].line for board in boards}
        canary, failures = _count(request, "canary", 1, 0), _count(request, "failures", 1, 1)
        image = await asyncio.to_thread(self._image, request.get("image"))
        return Batch(
            image, Rollout(lines, canary, failures), self._links, who, request.get("downgrade") is True,
            self._firmware.watch_s, self._firmware.readings_min, self._jobs.file,
        )  # fmt: skip

    def _chosen(self, wanted: object) -> list[str]:
        if wanted == "all":
            return list(self._links)
        names = [name for name in wanted.split(",") if name] if isinstance(wanted, str) else []
        if strange := [name for name in names if name not in self._links]:
            raise RequestError(f"{', '.join(strange)}: not managed; managed are {', '.join(self._links) or 'none'}")
        if not names:
            raise RequestError("boards: names with commas between, or all")
        return list(dict.fromkeys(names))

    def _image(self, path: object) -> Image:
        """The image of a file, signed by the station's key for firmware."""
        if not isinstance(path, str):
            raise RequestError("image: the path of a signed image")
        try:
            key = Path(self._firmware.key).read_bytes()
            with Path(path).open("rb") as file:
                data = file.read(IMAGE_BYTES_MAX + 1)
        except OSError as error:
            raise RequestError(f"{error.filename}: the daemon cannot read it ({error.strerror})") from error
        try:
            image = read_image(data)
            check_signature(image, key)
        except ImageError as error:
            raise RequestError(f"{path}: {error}") from error
        return image

    def stop(self, who: str) -> dict[str, Any]:
        """Begin no further board; those that are being updated are brought to their end."""
        if self._batch is None or self._batch.rollout.ended:
            raise RequestError("no batch runs")
        self._batch.rollout.halted = True
        self._event("firmware-batch-stopped", {"who": who, "left": self._batch.rollout.left})
        return self._batch.status()


def _row(answer: object) -> dict[str, Any]:
    match answer:
        case ImageStatesReadResponse(images=images):
            shown = [
                {
                    "slot": one.slot, "version": one.version, "hash": one.hash.hex() if one.hash else None,
                    "active": bool(one.active), "confirmed": bool(one.confirmed), "pending": bool(one.pending),
                }
                for one in images
            ]  # fmt: skip
            return {"state": "answers", "slots": shown}
        case Refusal(text=text):
            return {"state": "refuses", "reason": text}
        case Silence():
            return {"state": "silent"}
    raise TypeError(f"no answer of a board: {answer!r}")


def _count(request: Mapping[str, Any], name: str, default: int, least: int) -> int:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 100_000:
        raise RequestError(f"{name}: a whole number from {least}")
    return value
