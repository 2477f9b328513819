"""What may be asked of a running daemon about standard gases. Every change names a person and a reason."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from agent.config_gas import Day
from agent.gas.cylinder_rows import (
    AskedCertificate,
    AskedCylinder,
    AskedPressure,
    AskedRoles,
    NoValueError,
    added_row,
    certificate_of,
    read_gauge,
)
from agent.gas.places import places
from agent.gas.refusals import Request, refusal, said, shape
from agent.gas.register import Cylinders
from calibration.standards.cylinder import Act, Cylinder, Row
from calibration.standards.proposal import Proposal, proposed
from calibration.standards.summary import summary, whole
from calibration.standards.value import Certificate
from host.control import Handler
from host.hjson import Strict
from host.shapes import Name, Series
from metrology.periods import iso
from metrology.units import UnitError

if TYPE_CHECKING:
    from agent.daemon import Daemon

Written = tuple[Act, Row, dict[str, Any]]


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

    def found(self, request: Request) -> Cylinder:
        """By name or number, and fill where it is given. Raises RequestError."""
        name, fill = said(request, "name"), request.get("fill")
        cylinder = self._cylinders.register.found(name, fill if isinstance(fill, str) else None)
        if cylinder is None:
            rows = [one.row for one in self._cylinders.register.cylinders.values()]
            known = ", ".join(f"{row.name} ({row.number})" for row in rows)
            raise refusal(request, "name", "unknown", name=name, known=known or "-")
        return cylinder

    def add(self, request: Request) -> Written:
        """A cylinder that was not known; it takes the place of its name."""
        asked = shape(AskedCylinder, request, "cylinder")
        if (asked.number, asked.fill) in self._cylinders.register.cylinders:
            raise refusal(request, "cylinder.number", "exists", number=asked.number, fill=asked.fill)
        with _paper(request, "cylinder.certificate"):
            return "added", added_row(asked, self._daemon.clock.now()), {}

    def revalue(self, request: Request) -> Written:
        """A new certificate."""
        cylinder, day = self.found(request), self._daemon.clock.now().date()
        asked = shape(AskedCertificate, request, "certificate")
        with _paper(request, "certificate"):
            return "revalued", replace(cylinder.row, certificate=certificate_of(asked, cylinder, day)), {}

    def pressure(self, request: Request) -> Written:
        """A person read the gauge."""
        asked = shape(AskedPressure, request, "pressure")
        try:
            return "pressure", read_gauge(self.found(request).row, asked, self._daemon.clock.now()), {}
        except UnitError:
            raise refusal(request, "pressure.unit", "pressure-unit", unit=asked.unit) from None

    def roles(self, request: Request) -> Written:
        """What it is used for, by measurand; those that are not named have no role."""
        cylinder, asked = self.found(request), shape(AskedRoles, request, "roles")
        if strange := sorted(asked.roles.keys() - set(cylinder.measurands)):
            known = ", ".join(cylinder.measurands) or "-"
            raise refusal(request, f"roles.roles.{strange[0]}", "no-roles", measurand=strange[0], known=known)
        return "roles", replace(cylinder.row, roles=dict(asked.roles)), {}

    def install(self, request: Request) -> Written:
        """A known cylinder is connected, under its own name or in the place of another."""
        row, place = self.found(request).row, request.get("place")
        name = row.name if place is None else shape(_Place, {**request, "install": {"place": place}}, "install").place
        day = self._daemon.clock.now().date()
        return "installed", replace(row, name=name, installed=day, removed=None, retired=None), {}

    def remove(self, request: Request) -> Written:
        """It was taken away."""
        return "removed", replace(self.found(request).row, removed=self._daemon.clock.now().date()), {}

    def retire(self, request: Request) -> Written:
        """It will not be used again."""
        return "retired", replace(self.found(request).row, retired=self._daemon.clock.now().date()), {}

    async def assign(self, request: Request) -> tuple[Proposal, Written | None]:
        """What runs say an unknown is worth; with a name for the certificate also the act that accepts it."""
        asked = shape(AskedAssignment, request, "assignment")
        cylinder = self.found(request)
        points = [row for run in asked.runs for row in await self._cylinders.proposals.points(run)]
        proposal = proposed(points, self._cylinders.register, cylinder, asked.series)
        if asked.certificate is None:
            return proposal, None
        certificate = Certificate(
            asked.certificate, proposal.day, asked.expires, {proposal.measurand: proposal.value}
        )  # fmt: skip
        row = replace(cylinder.row, certificate=certificate)
        return proposal, ("assigned", row, {"proposal": proposal.fields()})


class _Place(Strict):
    place: Name


@contextmanager
def _paper(request: Request, member: str) -> Iterator[None]:
    """What makes no certificate is refused where it stands."""
    try:
        yield
    except NoValueError as error:
        where = f"{member}.assigned.{error.measurand}.unit"
        raise refusal(request, where, "unit-scale", measurand=error.measurand) from None
    except ValueError as error:
        raise refusal(request, member, "certificate", reason=error) from None


def handlers(daemon: "Daemon") -> dict[str, Handler]:
    """`cylinders`, `cylinder` and one handler for each act; `lang` of a request is that of a refusal."""
    cylinders = daemon.cylinders
    acts = Acts(daemon, cylinders)
    simple = {"add": acts.add, "revalue": acts.revalue, "pressure": acts.pressure, "install": acts.install,
              "remove": acts.remove, "retire": acts.retire, "roles": acts.roles}  # fmt: skip

    async def _list(_: Request) -> AsyncIterator[dict[str, Any]]:
        now = daemon.clock.now()
        rows = [summary(one, now) for one in cylinders.register.cylinders.values()]
        yield {"now": iso(now), "cylinders": rows, "places": places(daemon.config, cylinders.register)}

    async def _show(request: Request) -> AsyncIterator[dict[str, Any]]:
        found = acts.found(request)
        proposals = await cylinders.proposals.recorded(found.row.number, found.row.fill)
        yield {"cylinder": whole(found, daemon.clock.now()) | {"proposals": proposals}}

    async def written(request: Request, act: Act, row: Row, more: dict[str, Any]) -> dict[str, Any]:
        cylinder = await cylinders.write(act, row, said(request, "who"), said(request, "reason"), **more)
        await cylinders.look()
        return {"act": act, "cylinder": whole(cylinder, daemon.clock.now())}

    def _simple(name: str) -> Handler:
        async def _act(request: Request) -> AsyncIterator[dict[str, Any]]:
            said(request, "who"), said(request, "reason")
            yield await written(request, *simple[name](request))

        return _act

    async def _assign(request: Request) -> AsyncIterator[dict[str, Any]]:
        proposal, accepted = await acts.assign(request)
        answer = {"proposal": proposal.fields()}
        yield answer if accepted is None else answer | await written(request, *accepted)

    found: dict[str, Handler] = {f"cylinder-{name}": _simple(name) for name in simple}
    return {"cylinders": _list, "cylinder": _show, "cylinder-assign": _assign, **found}
