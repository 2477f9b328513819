"""What may be asked of a running daemon about standard gases. Every change names a person and a reason."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from agent.config_gas import Day
from agent.gas.cylinder_rows import (
    AskedCertificate,
    AskedCylinder,
    AskedPressure,
    added_row,
    certificate_of,
    read_gauge,
)
from agent.gas.register import Cylinders
from calibration.standards.cylinder import Act, Cylinder, Row
from calibration.standards.proposal import Proposal, proposed
from calibration.standards.summary import summary, whole
from calibration.standards.value import Certificate
from host.control import Handler, RequestError
from host.hjson import Strict
from host.shapes import Name, Series
from metrology.periods import iso

if TYPE_CHECKING:
    from agent.daemon import Daemon

Asked = TypeVar("Asked", bound=Strict)
Text = Callable[[Mapping[str, Any], str], str]


class AskedAssignment(Strict):
    """Which runs and which series tell the value; without `certificate` it is only proposed, not written."""

    runs: list[str] = Field(min_length=1, max_length=50)
    series: Series
    certificate: str | None = Field(default=None, min_length=1, max_length=200)
    expires: Day | None = None


class Acts:
    """The acts of people on the register."""

    def __init__(self, daemon: "Daemon", cylinders: Cylinders) -> None:
        self._daemon = daemon
        self._cylinders = cylinders

    def found(self, name: str, fill: str | None = None) -> Cylinder:
        """By name or number. Raises RequestError."""
        cylinder = self._cylinders.register.found(name, fill)
        if cylinder is None:
            rows = [one.row for one in self._cylinders.register.cylinders.values()]
            known = ", ".join(f"{row.name} ({row.number})" for row in rows)
            raise RequestError(f"no cylinder {name}; known: {known or 'none'}")
        return cylinder

    def add(self, request: Mapping[str, Any]) -> tuple[Act, Row, dict[str, Any]]:
        """A cylinder that was not known; it takes the place of its name."""
        asked = _shape(AskedCylinder, request.get("cylinder"))
        if (asked.number, asked.fill) in self._cylinders.register.cylinders:
            raise RequestError(
                f"cylinder {asked.number} with fill {asked.fill} is in the register: revalue it, or give the refill"
                " another fill"
            )
        return "added", added_row(asked, self._daemon.clock.now()), {}

    def revalue(self, request: Mapping[str, Any]) -> tuple[Act, Row, dict[str, Any]]:
        """A new certificate."""
        cylinder, day = self._of(request), self._daemon.clock.now().date()
        certificate = certificate_of(_shape(AskedCertificate, request.get("certificate")), cylinder, day)
        return "revalued", replace(cylinder.row, certificate=certificate), {}

    def pressure(self, request: Mapping[str, Any]) -> tuple[Act, Row, dict[str, Any]]:
        """A person read the gauge."""
        asked = _shape(AskedPressure, request.get("pressure"))
        return "pressure", read_gauge(self._of(request).row, asked, self._daemon.clock.now()), {}

    def install(self, request: Mapping[str, Any]) -> tuple[Act, Row, dict[str, Any]]:
        """A known cylinder is connected, under its own name or in the place of another."""
        row, place = self._of(request).row, request.get("place")
        name = row.name if place is None else _shape(_Place, {"place": place}).place
        day = self._daemon.clock.now().date()
        return "installed", replace(row, name=name, installed=day, removed=None, retired=None), {}

    def remove(self, request: Mapping[str, Any]) -> tuple[Act, Row, dict[str, Any]]:
        """It was taken away."""
        return "removed", replace(self._of(request).row, removed=self._daemon.clock.now().date()), {}

    def retire(self, request: Mapping[str, Any]) -> tuple[Act, Row, dict[str, Any]]:
        """It will not be used again."""
        return "retired", replace(self._of(request).row, retired=self._daemon.clock.now().date()), {}

    async def assign(self, request: Mapping[str, Any]) -> tuple[Proposal, tuple[Act, Row, dict[str, Any]] | None]:
        """What runs say an unknown is worth; with a name for the certificate also the act that accepts it."""
        asked = _shape(AskedAssignment, request.get("assignment"))
        cylinder = self._of(request)
        points = [row for run in asked.runs for row in await self._cylinders.proposals.points(run)]
        proposal = proposed(points, self._cylinders.register, cylinder, asked.series)
        if asked.certificate is None:
            return proposal, None
        certificate = Certificate(
            asked.certificate, proposal.day, asked.expires, {proposal.measurand: proposal.value}
        )  # fmt: skip
        row = replace(cylinder.row, certificate=certificate)
        return proposal, ("assigned", row, {"proposal": proposal.fields()})

    def _of(self, request: Mapping[str, Any]) -> Cylinder:
        name, fill = request.get("name"), request.get("fill")
        if not isinstance(name, str) or not isinstance(fill, str | None):
            raise RequestError("name: the station's word for a cylinder, or its number, is needed")
        return self.found(name, fill)


class _Place(Strict):
    place: Name


def _shape(kind: type[Asked], members: Any) -> Asked:
    """Members by their shape. Raises ValueError (pydantic's), which tells who asked what is wrong."""
    return kind.model_validate(members if members is not None else {})


def handlers(daemon: "Daemon", text: Text) -> dict[str, Handler]:
    """`cylinders`, `cylinder` and one handler for each act; `text` takes a text out of a request, or refuses."""
    cylinders = daemon.cylinders
    acts = Acts(daemon, cylinders)
    simple = {"add": acts.add, "revalue": acts.revalue, "pressure": acts.pressure, "install": acts.install,
              "remove": acts.remove, "retire": acts.retire}  # fmt: skip

    async def _list(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        now = daemon.clock.now()
        yield {"now": iso(now), "cylinders": [summary(one, now) for one in cylinders.register.cylinders.values()]}

    async def _show(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"cylinder": whole(acts.found(text(request, "name"), request.get("fill")), daemon.clock.now())}

    async def written(request: Mapping[str, Any], act: Act, row: Row, more: dict[str, Any]) -> dict[str, Any]:
        cylinder = await cylinders.write(act, row, text(request, "who"), text(request, "reason"), **more)
        await cylinders.look()
        return {"act": act, "cylinder": whole(cylinder, daemon.clock.now())}

    def _simple(name: str) -> Handler:
        async def _act(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
            text(request, "who"), text(request, "reason")
            yield await written(request, *simple[name](request))

        return _act

    async def _assign(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        proposal, accepted = await acts.assign(request)
        answer = {"proposal": proposal.fields()}
        yield answer if accepted is None else answer | await written(request, *accepted)

    found: dict[str, Handler] = {f"cylinder-{name}": _simple(name) for name in simple}
    return {"cylinders": _list, "cylinder": _show, "cylinder-assign": _assign, **found}
