"""The stations a test platform knows, and what its own requests may have made of them.

A request that changes a secret may have been carried out though its answer was lost. So a new key is read beside the
old one from the moment it is sent, a new MN is taken beside the old one, and a new password holds as soon as the
station uses it.
"""

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agent.cli.hj212_line import sm4_key
from agent.cli.hj212_meaning import edition_of
from agent.cli.hj212_show import profile
from protocols.hj212 import Message, Profile
from protocols.hj212.session import Identity

STATIONS_MAX: Final = 1000


class Peers(Mapping[str, Identity]):
    """Stations by MN. With `--any` whoever comes is taken as what it says it is; else there is the one given.

    Raises ValueError for an MN or a password that cannot be one.
    """

    def __init__(self, line: argparse.Namespace, pw: str | None) -> None:
        self._keys: tuple[bytes, ...] = () if line.key is None else (line.key,)
        self._any = pw is None
        self._known: dict[str, Identity] = {}
        self._perhaps: dict[str, Identity] = {}
        if pw is not None:
            self._known[line.mn] = Identity(line.mn, pw, line.st, profile(line), self._keys)
        self.only: str | None = line.mn

    def __getitem__(self, mn: str) -> Identity:
        return self._known[mn]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def keys_of(self, fields: Mapping[str, str]) -> Sequence[bytes]:
        """SM4 keys of whoever wrote these header fields."""
        known = self._known.get(fields.get("MN", ""))
        return known.keys if known else self._keys

    def heard(self, message: Message) -> None:
        """A station has spoken: it may be a new one, or have a new password."""
        perhaps = self._perhaps.get(message.mn)
        if perhaps and perhaps.pw == message.pw:
            self._known[message.mn] = self._perhaps.pop(message.mn)
        elif self._any and len(self._known) < STATIONS_MAX:
            known = self._known.get(message.mn)
            spoken = Profile(edition_of(message), Profile.lenient().leniencies)
            # The ST of a reply says nothing of its sender.
            st = message.st if message.wants_answer or known is None else known.st
            with contextlib.suppress(ValueError):
                keys = known.keys if known else self._keys
                self._known[message.mn] = Identity(message.mn, message.pw, st, spoken, keys)

    def asked(self, mn: str, cn: str, values: Mapping[str, Sequence[str]]) -> None:
        """A request goes out that may change who the station is, whether its end is heard of or not."""
        known = self._known[mn]
        if cn == "1072":
            [pw] = values.get("NewPW") or values["PW"]
            self._perhaps[mn] = dataclasses.replace(known, pw=pw)
        elif cn == "1014":
            [text] = values["NewSK"]
            self._known[mn] = dataclasses.replace(known, keys=(sm4_key(text), *known.keys[:1]))
        elif cn == "1002":
            [new] = values["MN"]
            self._known[new] = dataclasses.replace(known, mn=new)
            self.only = None
