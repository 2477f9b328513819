"""The terms of one link: identity, keys and intervals, as configured or as the platform set them since."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agent.config_hj212 import Hj212Uplink
from agent.uplinks.hj212_kept import Kept
from agent.uplinks.hj212_requests import Answer, Handler
from metrology.clock import Clock
from metrology.periods import iso, parse_iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Message
from protocols.hj212.profile import Profile
from protocols.hj212.service import StationState
from protocols.hj212.session import Identity, Timing
from protocols.hj212.times import parse_time, render_time

KEY_BYTES: Final = 16
KEY_AGE_MAX: Final = timedelta(days=90)
ASK_KEY_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Password and SM4 key, as configured."""

    pw: str = field(repr=False)
    key: bytes | None = field(default=None, repr=False)


class Terms:
    """Reads them at a start, changes them durably when a platform does."""

    def __init__(self, config: Hj212Uplink, secrets: Secrets, kept: Kept, clock: Clock) -> None:
        """Raises ValueError for an identity or a leniency that cannot be."""
        self._kept, self._clock = kept, clock
        self._profile = Profile.strict(config.edition).with_leniencies(config.leniencies)
        self._st = config.st
        self._configured: dict[str, Any] = {
            "overtime_s": config.overtime_s,
            "recount": config.recount,
            "realtime_s": config.realtime_s,
            "realtime_on": True,
            "status_on": True,
            "minute_min": config.minute_min,
            "pw": secrets.pw,
            "mn": config.mn,
            "keys": [secrets.key.hex()] if secrets.key else [],
        }
        self._configured["key_made"] = self._configured["keys"]
        get = self._get
        self.state = StationState(
            Timing(get("overtime_s"), get("recount")),
            get("realtime_s"),
            get("realtime_on"),
            status_on=get("status_on"),
            minute_min=get("minute_min"),
        )
        self._asked_key = datetime.min.replace(tzinfo=clock.now().tzinfo)
        self.adopt: Callable[[Identity], None] = lambda _: None

    def _get(self, name: str) -> Any:
        return self._kept.get(name, self._configured[name])

    @property
    def identity(self) -> Identity:
        """Who the station is on this link now."""
        keys = tuple(bytes.fromhex(key) for key in self._get("keys"))
        return Identity(self._get("mn"), self._get("pw"), self._st, self._profile, keys)

    def keep_state(self) -> None:
        """Keep the intervals and switches as they are. Raises OSError."""
        state = self.state
        self._set(
            overtime_s=state.timing.overtime_s,
            recount=state.timing.recount,
            realtime_s=state.realtime_s,
            realtime_on=state.realtime_on,
            status_on=state.status_on,
            minute_min=state.minute_min,
        )

    def _set(self, **values: Any) -> None:
        changed = {name: value for name, value in values.items() if value != self._get(name)}
        self._kept.set(self._configured, changed)

    def handlers(self) -> dict[str, Handler]:
        """1072, 1002 and 1014: stored first, in force when the platform has its answer."""
        return {"1072": self._new_password, "1002": self._new_mn, "1014": self._new_key}

    async def _new_password(self, message: Message) -> Answer:
        # 2005 calls the field PW.
        return self._changed(pw=message.value("NewPW") or message.value("PW"))

    async def _new_mn(self, message: Message) -> Answer:
        return self._changed(mn=message.value("MN"))

    async def _new_key(self, message: Message) -> Answer:
        made, key = message.value("SKCreateTime") or "", _key(message.value("NewSK") or "")
        if key is None:
            return Answer(ExeRtn.CONDITION)
        try:
            at = parse_time(made[:14])
        except ValueError:
            return Answer(ExeRtn.CONDITION)
        known = self._get("keys")[:1]
        return self._changed(keys=[key.hex(), *(old for old in known if old != key.hex())], key_made=iso(at))

    def _changed(self, **values: Any) -> Answer:
        before = self.identity
        try:
            Identity(values.get("mn", before.mn), values.get("pw", before.pw), self._st, self._profile)
        except (ValueError, TypeError):
            return Answer(ExeRtn.CONDITION)
        try:
            self._set(**values)
        except OSError as error:
            return Answer(ExeRtn.FAILED, detail={"reason": f"not stored: {error.strerror}"})
        return Answer(ExeRtn.DONE, then=lambda: self.adopt(self.identity))

    # -- the age of the key

    def key_wish(self) -> str | None:
        """SKCreateTime to ask a new key with, where the one in use is too old; at most once a day."""
        if not self._get("keys"):
            return None
        now, made = self._clock.now(), self._key_made()
        if now - made < KEY_AGE_MAX or now - self._asked_key < ASK_KEY_EVERY:
            return None
        self._asked_key = now
        return render_time(made)

    def _key_made(self) -> datetime:
        """When the key in use was made; of a configured one, when it was first seen here."""
        found = self._get("key_made")
        if isinstance(found, str):
            return parse_iso(found)
        now = self._clock.now()
        # Where the disk does not take it now, the key counts as new for the next start too.
        with contextlib.suppress(OSError):
            self._kept.set(self._configured, {"key_made": iso(now)})
        return now


def _key(text: str) -> bytes | None:
    """A key as published ones are written, 16 characters; or as 32 hexadecimal digits. None for anything else."""
    if len(text) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(text)
        except ValueError:
            return None
    return text.encode("ascii") if len(text) == KEY_BYTES and text.isascii() else None
