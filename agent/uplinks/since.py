"""Where an uplink begins that has no place in the log yet."""

from datetime import datetime

from agent.config_since import Since
from agent.store.log import Log, Place
from metrology.periods import iso
from protocols.record import KINDS


async def beginning(log: Log, since: Since) -> tuple[int, int]:
    """Epoch and number of the first record of the log that was written at `since` or later (Since: see there)."""
    epochs = await log.epochs()
    if since == "beginning":
        return epochs[0], 0
    if since == "now":
        return log.epoch, log.next_seq
    at = iso(datetime.fromisoformat(since))
    for epoch in epochs:
        number = await log.seq_at(epoch, at)
        if epoch < log.epoch and await log.read(number - 1, kinds=KINDS, limit=1, epoch=epoch):
            return epoch, number
    return log.epoch, await log.seq_at(log.epoch, at)


async def floor_of(log: Log, place: Place, since: Since) -> tuple[int, int]:
    """Epoch and number below which nothing was ever meant for an uplink; of `now` only the epoch is still known."""
    return (place.epoch, 0) if since == "now" else await beginning(log, since)


async def place_of(log: Log, uplink: str, since: Since) -> Place:
    """Where an uplink is; a new one is just before the record it begins with, from now on."""
    place = await log.load_place(uplink)
    if place is None:
        epoch, first = await beginning(log, since)
        place = Place(epoch, first - 1)
        await log.save_place(uplink, place)
    return place
