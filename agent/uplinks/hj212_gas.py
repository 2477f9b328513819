"""What a platform may have a station do with gas: zero and span (3011), blowback (3013), standard check (3024).

All of it goes through the calibrator, whose lock, guards and one-run-at-a-time hold for a platform as for anybody. The
9012 follows the end of the run. What this station has no equipment for is not handled: the session answers QnRtn 8.
"""

from collections.abc import Callable, Mapping
from typing import Final

from agent.config_hj212 import Calibrate, Hj212Uplink, SentFactor
from agent.gas.calibrator import Calibrator
from agent.gas.outcome import RefusalKind, RefusedError, RunEnd
from agent.uplinks.hj212_requests import Answer, Handler
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Message

_ENDS: Final[Mapping[RunEnd, int]] = {
    "finished": ExeRtn.DONE,
    "aborted": ExeRtn.FAILED,
    "fault": ExeRtn.FAULT,
}
_REFUSALS: Final[Mapping[RefusalKind, int]] = {
    "condition": ExeRtn.CONDITION,
    "busy": ExeRtn.BUSY,
    "fault": ExeRtn.FAULT,
}
# CalibrationType of 3011, edition 2025.
_ZERO: Final = "0"


class GasActs:
    """The acts of one uplink."""

    def __init__(self, name: str, config: Hj212Uplink, calibrator: Calibrator) -> None:
        self._name = name
        self._config = config
        self._calibrator = calibrator
        self._factors = {code.casefold(): (code, factor) for code, factor in config.factors.items()}

    def handlers(self) -> dict[str, Handler]:
        """By command, as far as the station has what it needs."""
        factors = self._config.factors.values()
        found: dict[str, Handler] = {"3011": self._calibrate, "3024": self._check}
        # In edition 2005 the number 3013 means the operation of some device.
        if self._config.edition != 2005 and any(_chosen(factor).blowback for factor in factors):
            found["3013"] = self._blow_back
        if any(factor.result_min for factor in factors):
            found["3018"] = self._tell_delay
        return found

    async def _calibrate(self, message: Message) -> Answer:
        return await self._run(message, lambda factor: _calibration(factor, message.value("CalibrationType")))

    async def _check(self, message: Message) -> Answer:
        return await self._run(message, lambda factor: _chosen(factor).check, check=True)

    async def _blow_back(self, message: Message) -> Answer:
        return await self._run(message, lambda factor: _chosen(factor).blowback)

    async def _tell_delay(self, message: Message) -> Answer:
        code, factor = self._factor(message)
        if factor is None or factor.result_min is None:
            return Answer(ExeRtn.CONDITION if factor is None else ExeRtn.NO_DATA)
        return Answer(ExeRtn.DONE, ((((("PolId", code),), (("Stime", str(factor.result_min)),))),))

    def _factor(self, message: Message) -> tuple[str, SentFactor | None]:
        code = message.value("PolId") or ""
        return self._factors.get(code.casefold(), (code, None))

    async def _run(
        self, message: Message, sequence_of: Callable[[SentFactor], str | None], *, check: bool = False
    ) -> Answer:
        code, factor = self._factor(message)
        if factor is None:
            return _refused(f"this uplink has no factor {code}")
        sequence = sequence_of(factor)
        if sequence is None:
            return _refused(f"no sequence is configured for this of factor {code}")
        who = f"uplink {self._name}, platform {self._config.host}, MN {message.mn}, QN {message.qn}, CN {message.cn}"
        try:
            outcome = await self._calibrator.perform(sequence, who, check=check)
        except RefusedError as error:
            return Answer(_REFUSALS[error.kind], detail={"sequence": sequence, "reason": str(error)})
        reason = outcome.reason or outcome.unusable.get(factor.series)
        ended = _ENDS[outcome.end] if outcome.end != "finished" or reason is None else ExeRtn.FAILED
        return Answer(
            ended, detail={"sequence": sequence, "run": outcome.run, **({"reason": reason} if reason else {})}
        )


def _chosen(factor: SentFactor) -> Calibrate:
    return factor.calibrate or Calibrate()


def _calibration(factor: SentFactor, kind: str | None) -> str | None:
    """The sequence of a 3011: by its CalibrationType, else the site's `both`, else the only one configured."""
    chosen = _chosen(factor)
    if kind is not None:
        return chosen.zero if kind == _ZERO else chosen.span
    if chosen.both is not None:
        return chosen.both
    return chosen.zero or chosen.span if None in (chosen.zero, chosen.span) else None


def _refused(reason: str) -> Answer:
    return Answer(ExeRtn.CONDITION, detail={"reason": reason})
