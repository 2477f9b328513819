"""The shape of the centre's configuration: one HJSON file, strict, frozen, secrets by reference only."""

from collections import Counter
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from host.hjson import WHOLE, Strict
from host.secrets import SecretRef
from host.shapes import Factor, Mn, Name, Position, Series, SystemCode, Tls, WebPage
from metrology.measurand import catalogue
from metrology.units import UnitError
from protocols.hj212 import factors as wire
from protocols.hj212.profile import Leniency, Profile
from protocols.tlog import Verifier

# The user of the centre's subscriber in the broker's access list.
SUBSCRIBER: Final = "plumeline-central"
Port = Annotated[int, Field(ge=0, le=65535)]


def _vkey(text: str) -> str:
    Verifier.from_vkey(text)
    return text


Vkey = Annotated[str, AfterValidator(_vkey)]


class Listen(Strict):
    """An address to listen on; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Port


class Http(WebPage):
    """The centre's page; port 0 takes a free one."""

    port: Port


class Broker(Strict):
    """The broker. `client_id` names the durable session, so it stays the same over restarts and is used once."""

    host: str
    port: int = Field(ge=1, le=65535)
    client_id: str = Field(default="plumeline-central-ingest", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    tls: Tls | None = None


class Reached(Strict):
    """An address as others reach it."""

    host: str
    port: int = Field(ge=1, le=65535)


class AuthorityBlock(Strict):
    """The centre's own certificate authority, and where stations enrol.

    `names` are the host names and addresses by which stations reach enrolment and broker; `broker_folder` is where the
    broker's files are written, `folder`/broker where absent; `days` is how long a station's certificate is valid.
    """

    folder: str
    names: list[str] = Field(min_length=1, max_length=20)
    listen: Listen
    broker: Reached
    broker_folder: str | None = None
    key: SecretRef | None = None
    passphrase: SecretRef | None = None
    days: float = Field(default=90, gt=0, le=397)


class Label(Strict):
    """What people read for a series."""

    zh: str
    en: str


class Hj212(Listen):
    """The HJ 212 server. What is missing of the last `missing_days` is asked for, `settle_s` after a station came."""

    missing_days: float = Field(default=7, ge=0, le=31)
    settle_s: float = Field(default=120, ge=0, le=86400)


class StartUp(Strict):
    """What a station is told when it has connected; what is left out is not sent (HJ 212-2017 appendix B)."""

    clock: bool = False
    overtime_s: int | None = Field(default=None, ge=1, le=9999)
    recount: int | None = Field(default=None, ge=0, le=99)
    realtime_s: int | None = Field(default=None, ge=1, le=9999)
    minute_min: Annotated[Literal[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30], WHOLE] | None = None
    realtime: bool | None = None
    status: bool | None = None

    @model_validator(mode="after")
    def _both(self) -> "StartUp":
        if (self.overtime_s is None) != (self.recount is None):
            raise ValueError("overtime_s and recount travel together (CN 1000): give both or none")
        return self


class Outlet(Strict):
    """One outlet under HJ 212. `factors` maps pollutant codes to series; the password is what the station sends.

    `leniencies` are departures from its edition that are taken all the same; `sm4_key` is 16 characters, or 32
    hexadecimal digits.
    """

    mn: Mn
    st: SystemCode = "31"
    pw: SecretRef
    factors: dict[str, Factor] = Field(min_length=1)
    edition: Annotated[Literal[2005, 2017, 2025], WHOLE] = 2017
    leniencies: list[str] = Field(default=[])
    sm4_key: SecretRef | None = None
    minute_min: Annotated[Literal[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30], WHOLE] = 1
    ask_missing: bool = True
    start_up: StartUp | None = None

    @property
    def profile(self) -> Profile:
        """How the station writes."""
        return Profile.strict(self.edition).with_leniencies(self.leniencies)

    @model_validator(mode="after")
    def _fits_its_edition(self) -> "Outlet":
        for name in self.leniencies:
            if name not in set(Leniency):
                raise ValueError(f"leniency {name!r} is not known: write one of {', '.join(sorted(Leniency))}")
        if self.sm4_key is not None and self.edition != 2025:
            raise ValueError(f"sm4_key: the {self.edition} edition has no encryption, write edition: 2025")
        return self

    @model_validator(mode="after")
    def _travels(self) -> "Outlet":
        try:
            self.wire_factors()
        except KeyError as error:
            raise ValueError(f"measurand or state {error} is not known") from error
        except UnitError as error:
            raise ValueError(str(error)) from error
        return self

    def wire_factors(self) -> dict[str, wire.Factor]:
        """The factors with what the catalogue adds, by code."""
        return {
            code: wire.factor(code, f.series, unit=f.unit, decimals=f.decimals, state=f.state)
            for code, f in self.factors.items()
        }


class Station(Strict):
    """A station. `vkey` is the verification key of its checkpoints (signed-note form: name+id+key).

    Without it the key counts that the station brought when it enrolled by a code.
    """

    network: Name
    name_zh: str
    name_en: str
    position: Position
    vkey: Vkey = ""
    instruments: dict[Name, Position] = Field(default={})
    series: dict[Series, Label] = Field(default={})
    outlets: dict[Name, Outlet] = Field(default={})


class Witness(Strict):
    """The centre as witness of its stations' ledgers: the name and the secret seed (base64) of its cosignatures.

    The key is used for nothing else. `name` is a URL without scheme, or a word: no white space, no `+`. Of each station
    `challenge` records a day (0: none) are asked for as they lie in its log; an answer is due within `answer_h`. That a
    station walked its own log is due within `walk_h` (0: not at all).
    """

    name: str = Field(pattern=r"^[^\s+]{1,100}$")
    key: SecretRef
    challenge: int = Field(default=24, ge=0, le=1000)
    answer_h: float = Field(default=24, gt=0, le=720)
    walk_h: float = Field(default=48, ge=0, le=720)


class Domain(Strict):
    """The published area: `margin_m` around all sensors, or explicit sides in degrees."""

    margin_m: float = Field(default=150, ge=0, le=20000)
    sides: "Sides | None" = None


class Sides(Strict):
    """A rectangle in degrees."""

    south: float = Field(ge=-90, le=90)
    north: float = Field(ge=-90, le=90)
    west: float = Field(ge=-180, le=180)
    east: float = Field(ge=-180, le=180)


class Meteorology(Strict):
    """Whose wind, temperature and pressure drive the plume; the mast's place is the origin of the published grid."""

    station: Name
    mast: Name
    wind_speed: str = "wind_speed"
    wind_direction: str = "wind_direction"
    temperature: str = "air_temperature"
    pressure: str = "air_pressure"


class Attribution(Strict):
    """Source attribution. `threshold_kg_h` is the rate above which a persistent source becomes an event.

    Of each instrument with a position the first of `measurands` counts that it has.
    """

    every_h: float = Field(default=1, gt=0, le=24)
    window_h: float = Field(default=6, ge=0.25, le=72)
    measurands: list[str] = Field(default=["ch4_dry", "ch4"], min_length=1)
    gas: Literal["ch4", "co2"] = "ch4"
    domain: Domain = Domain()
    meteorology: Meteorology
    threshold_kg_h: float = Field(default=0.5, gt=0)

    @model_validator(mode="after")
    def _known(self) -> "Attribution":
        if unknown := [measurand for measurand in self.measurands if measurand not in catalogue()]:
            raise ValueError(f"measurand {unknown[0]!r} is not in the catalogue: try {self.gas}")
        return self


class Config(Strict):
    """A whole centre. Absent ingests do not run. `report_key`: the seed (base64) that signs reports and evidence."""

    store: str
    http: Http | None = None
    hj212: Hj212 | None = None
    mqtt: Broker | None = None
    witness: Witness | None = None
    report_key: SecretRef | None = None
    authority: AuthorityBlock | None = None
    stations: dict[Name, Station]
    attribution: Attribution | None = None

    @model_validator(mode="after")
    def _agrees(self) -> "Config":
        if self.http is not None and self.http.exposed:
            raise ValueError(
                "http: beyond this machine passwords would pass in clear: give http.tls, or write behind_proxy: true"
                " where a proxy with TLS stands before the page"
            )
        if SUBSCRIBER in self.stations:
            raise ValueError(f"stations: {SUBSCRIBER} is the centre's own name at the broker, no station may bear it")
        if self.authority is None and (bare := [name for name, one in self.stations.items() if not one.vkey]):
            raise ValueError(f"stations.{bare[0]}: give its vkey, or an authority by which it enrols")
        uses = Counter(outlet.mn for station in self.stations.values() for outlet in station.outlets.values())
        if twice := [mn for mn, count in uses.items() if count > 1]:
            raise ValueError(f"MN {twice[0]} is given to more than one outlet: an MN belongs to one")
        if self.attribution is not None:
            met = self.attribution.meteorology
            if met.station not in self.stations or met.mast not in self.stations[met.station].instruments:
                raise ValueError(f"attribution.meteorology: no instrument {met.mast} stands at {met.station}")
        return self
