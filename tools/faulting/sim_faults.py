"""What each kind of fault does to the simulated world, and how it ends."""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim_broker import Manners
from sim_field import CRDS, PLC, Manner
from sim_kinds import KINDS, Fault
from sim_net import Weather
from sim_station import PLATFORM, STATION

from protocols.tlog import signer_from_seed

if TYPE_CHECKING:
    from sim_world import World


async def play(world: "World", faults: list[Fault]) -> None:
    """Let each fault come at its time, and end."""
    began = world.loop.time()
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(_one(world, fault, began))


async def _one(world: "World", fault: Fault, began: float) -> None:
    await asyncio.sleep(fault.at - (world.loop.time() - began))
    world.told("fault", number=fault.number, kind=fault.kind, lasts=fault.lasts, more=fault.more)
    disturbs = fault.kind.startswith(("disk", "instrument", "power", "kill", "outage", "clock")) or (
        fault.more.get("port") in (PLC, CRDS)
    )
    world.checks.disturbed(disturbs, +1)
    await ACTS[fault.kind](world, fault)
    world.checks.disturbed(disturbs, -1)
    world.told("fault-over", number=fault.number)
    if disturbs:
        world.checks.recovers("wire" if "port" in fault.more else "disk")


async def _kill(world: "World", fault: Fault) -> None:
    if world.station.up:
        world.crashed(power=fault.kind != "kill", why=fault.kind, away_s=fault.lasts)
        await asyncio.sleep(fault.lasts)


async def _cut_at_write(world: "World", fault: Fault) -> None:
    world.disk.countdown = fault.more["write"]
    if fault.more["again"]:
        for _ in range(600):
            await asyncio.sleep(1)
            if not world.station.up:
                break
        while not world.station.up and not world.disk.dead:
            await asyncio.sleep(0.2)
        # The next start, or what follows it, meets another.
        world.disk.countdown = fault.more["again"]
        await asyncio.sleep(120)


async def _cut_in_calibration(world: "World", fault: Fault) -> None:
    daemon, process = world.station.daemon, world.station.process
    if not world.station.up or daemon is None or process is None:
        return
    start = world.loop.create_task(daemon.calibrator.start("daily", "simulation"), context=process.context())
    await asyncio.sleep(fault.more["after"])
    if start.done() and not start.cancelled() and start.exception():
        world.told("calibration-refused", why=str(start.exception()))
    if world.station.up:
        port = world.field.valve.open
        world.told("cut-in-calibration", port=port)
        world.crashed(power=True, why=f"power cut with the valve at {port}", away_s=fault.lasts)
        await asyncio.sleep(fault.lasts)


def _disk(**values: Any) -> Callable[["World", Fault], Awaitable[None]]:
    async def act(world: "World", fault: Fault) -> None:
        disk = world.disk
        before = {name: getattr(disk, name) for name in ("full", "read_only", "eio_write", "eio_sync", "forgets")}
        disk.dice = random.Random(fault.seed)
        for name, value in values.items():
            setattr(disk, name, fault.more[value] if isinstance(value, str) else value)
        await asyncio.sleep(fault.lasts)
        for name in values:
            setattr(disk, name, type(before[name])())

    return act


async def _disk_slow(world: "World", fault: Fault) -> None:
    dice, most = random.Random(fault.seed), fault.more["seconds"]
    world.station.latency = lambda: most * dice.random()
    await asyncio.sleep(fault.lasts)
    world.station.latency = lambda: 0.0


async def _instrument(world: "World", fault: Fault) -> None:
    manner = world.field.manners[fault.more["port"]]
    manner.kind, manner.slow_s = fault.more["how"], 4.0
    await asyncio.sleep(fault.lasts)
    manner.kind = "well"


async def _line(world: "World", fault: Fault) -> None:
    port = fault.more["port"]
    weather = world.net.weather(port)
    match fault.kind:
        case "line-cut":
            world.net.cut(port)
        case "line-half-closed":
            world.net.half_close(port)
        case "line-refused":
            weather.refused = True
            world.net.cut(port)
        case "line-silent":
            weather.silent, weather.stalled_until = True, world.loop.time() + fault.lasts
        case "line-slow":
            weather.extra_s, weather.bytes_per_s = fault.more["extra_s"], fault.more["bytes_per_s"]
    await asyncio.sleep(fault.lasts)
    weather.refused = weather.silent = False
    weather.extra_s, weather.bytes_per_s, weather.stalled_until = 0.0, 1e7, 0.0


async def _broker(world: "World", fault: Fault) -> None:
    broker, usual = world.broker, Manners()
    manners = broker.manners
    match fault.kind:
        case "broker-disconnects":
            broker.disconnect()
        case "broker-forgets":
            manners.forgets = fault.more["share"]
            if fault.more["all"]:
                broker.forget()
        case "broker-repeats":
            manners.repeats = fault.more["share"]
        case "broker-reorders":
            manners.late, manners.late_s = 0.5, fault.more["late_s"]
        case "broker-denies":
            manners.denies = True
        case "broker-hangs":
            manners.hangs = True
        case "broker-away":
            manners.away = True
            broker.disconnect()
    await asyncio.sleep(fault.lasts)
    for name, value in vars(usual).items():
        setattr(manners, name, value)


async def _centre_killed(world: "World", fault: Fault) -> None:
    process = world.centre.process
    world.centre.die()
    world.net.cut(process=process)
    for ear in [one for one in world.broker.ears if one.process is process]:
        world.broker.ears.remove(ear)
    await asyncio.sleep(fault.lasts)
    if process is world.centre.process:
        world.centre.start()


async def _step(world: "World", fault: Fault) -> None:
    world.clock.offset_s += fault.more["seconds"]
    await asyncio.sleep(fault.lasts)
    world.clock.offset_s -= fault.more["seconds"]


async def _left_wrong(world: "World", fault: Fault) -> None:
    """Nobody steps it back; 0 is a clock that somebody sets right."""
    world.clock.offset_s = fault.more["seconds"]


async def _clock_lost(world: "World", fault: Fault) -> None:
    """A machine without a battery starts in 1970, and hears the time later."""
    if not world.station.up:
        return
    world.crashed(power=True, why=fault.kind, away_s=fault.lasts)
    world.clock.offset_s = -(world.clock.now().timestamp() - world.clock.offset_s)
    await asyncio.sleep(fault.lasts)
    await asyncio.sleep(fault.more["right_after_s"])
    world.clock.offset_s = 0.0


async def _rotated(world: "World", fault: Fault) -> None:
    """A person changes the key: the station says so, then the file is another, whatever happens in between."""
    daemon, process = world.station.daemon, world.station.process
    if not world.station.up or daemon is None or process is None:
        return
    seed = base64.b64encode(random.Random(fault.seed).randbytes(32)).decode()
    new = signer_from_seed(seed, f"plumeline/{STATION}")
    rotating = daemon.keys.rotate(daemon.log, STATION, new, "qa", "yearly")
    task = world.loop.create_task(rotating, context=process.context())
    while process.alive and not task.done():
        await asyncio.sleep(0.02)
    if task.done():
        Path("key").write_text(seed)
        world.told("key-rotated", vkey=new.vkey)


async def _all_away(world: "World", fault: Fault) -> None:
    weather = world.net.weather(PLATFORM)
    world.broker.manners.away = weather.refused = True
    world.broker.disconnect()
    world.net.cut(PLATFORM)
    await asyncio.sleep(fault.lasts)
    world.broker.manners.away = weather.refused = False


def all_well(world: "World") -> None:
    """Nothing is broken any more."""
    for name, value in vars(Manners()).items():
        setattr(world.broker.manners, name, value)
    for port in (PLC, CRDS, PLATFORM):
        for name, value in vars(Weather()).items():
            setattr(world.net.weather(port), name, value)
    for port in (PLC, CRDS):
        world.field.manners[port] = Manner()
    disk = world.disk
    disk.full = disk.read_only = disk.forgets = False
    disk.eio_write = disk.eio_sync = 0.0
    disk.countdown = None
    world.station.latency = lambda: 0.0


ACTS: dict[str, Callable[["World", Fault], Awaitable[None]]] = {
    "kill": _kill,
    "power-cut": _kill,
    "outage": _kill,
    "power-cut-at-write": _cut_at_write,
    "power-cut-in-calibration": _cut_in_calibration,
    "disk-full": _disk(full=True),
    "disk-read-only": _disk(read_only=True),
    "disk-write-error": _disk(eio_write="share"),
    "disk-sync-error": _disk(eio_sync="share", forgets="forgets"),
    "disk-slow": _disk_slow,
    "instrument": _instrument,
    "centre-killed": _centre_killed,
    "clock-step": _step,
    "clock-left-wrong": _left_wrong,
    "clock-lost": _clock_lost,
    "key-rotated": _rotated,
    "all-away": _all_away,
    **{kind: _line for kind in KINDS if kind.startswith("line-")},
    **{kind: _broker for kind in KINDS if kind.startswith("broker-")},
}
