"""Requests that tell about the station and move nothing: clocks, serial numbers, states, parameters, logs."""

from agent.uplinks.hj212_history import History
from agent.uplinks.hj212_info import Information
from agent.uplinks.hj212_requests import Answer, Handler
from metrology.clock import Clock
from protocols.hj212.commands import ExeRtn
from protocols.hj212.information import identity_items, information_items
from protocols.hj212.message import Message
from protocols.hj212.uploads import time_item


class Reads:
    """Answers of one uplink."""

    def __init__(self, information: Information, history: History, clock: Clock) -> None:
        self._information, self._history, self._clock = information, history, clock

    def handlers(self) -> dict[str, Handler]:
        """By command."""
        return {"1011": self._clock_of, "3019": self._serial, "3020": self._item, "3021": self._set_item}

    async def _clock_of(self, message: Message) -> Answer:
        """No instrument of ours tells its clock: readings are stamped where they arrive."""
        return Answer(ExeRtn.NO_DATA if self._knows(message) else ExeRtn.CONDITION)

    async def _serial(self, message: Message) -> Answer:
        pol_id = message.value("PolId") or ""
        if not self._knows(message):
            return Answer(ExeRtn.CONDITION)
        serial = self._information.serial(pol_id)
        return Answer(ExeRtn.NO_DATA) if serial is None else Answer(ExeRtn.DONE, (identity_items(pol_id, serial),))

    async def _item(self, message: Message) -> Answer:
        code, pol_id = message.value("InfoId") or "", message.value("PolId")
        if pol_id is not None and not self._knows(message):
            return Answer(ExeRtn.CONDITION)
        if self._history.asks_for_log(message):
            return await self._history.answer(message) if code in self._information.logs else Answer(ExeRtn.NO_DATA)
        value = self._information.value(code, pol_id)
        if value is None:
            return Answer(ExeRtn.NO_DATA)
        return Answer(ExeRtn.DONE, ((time_item(self._clock.now()), *information_items({code: value}, pol_id)),))

    async def _set_item(self, _: Message) -> Answer:
        """What can be read can not be set from afar: it is measured, configured, or a result of calibration."""
        return Answer(ExeRtn.CONDITION)

    def _knows(self, message: Message) -> bool:
        return self._information.knows(message.value("PolId") or "")
