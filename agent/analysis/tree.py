"""A trace in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from agent.analysis.nodes import Node, known, word
from host.problems import Lang
from metrology.periods import CHINA, parse_iso
from metrology.units import SHOWN

Fields = Mapping[str, Any]
PERIODS: Final = {60: "1min", 3600: "1h", 86400: "1d"}


def tree(trace: Fields, lang: Lang) -> Node:
    """The whole trace, the average at its root."""
    return _Teller(lang).whole(trace)


def local(time: str | None) -> str:
    """A time of a record in UTC+8, to the second."""
    return f"{parse_iso(time).astimezone(CHINA):%Y-%m-%d %H:%M:%S}" if time else "-"


def unit(name: str | None) -> str:
    """A unit as people write it."""
    return SHOWN.get(name or "", name or "")


class _Teller:
    def __init__(self, lang: Lang) -> None:
        self._lang = lang

    def _w(self, key: str, /, **values: object) -> str:
        return word(key, self._lang, **values)

    def whole(self, trace: Fields) -> Node:
        row = trace["row"]
        title = self._w(
            "trace.title",
            series=trace["series"],
            period=PERIODS.get(trace["period_s"], trace["period_s"]),
            start=local(trace["start"]),
            value="-" if row["mean"] is None else repr(row["mean"]),
            unit=unit(row["u"]),
            rev=row["rev"],
        )
        return Node(title, [*self._parts(trace)])

    def _parts(self, trace: Fields) -> Iterator[Node]:
        yield self._row(trace["row"])
        yield self._again(trace)
        if trace["recompute"]:
            yield self._recompute(trace["recompute"])
        yield self._members(trace)
        yield self._corrections(trace)
        yield self._marks(trace["marks"])
        yield self._configuration(trace["configuration"])
        yield self._ledger(trace)
        yield self._delivered(trace["delivered"])

    def _row(self, row: Fields) -> Node:
        told = [f"{name} {row[name]}" for name in ("n", "valid", "min", "max", "sd", "sum", "unc") if name in row]
        return Node(self._w("trace.row", rule=row["rule"], told=", ".join(told)))

    def _again(self, trace: Fields) -> Node:
        if trace["agrees"] is None:
            return Node(self._w("trace.not-again"), bad=True)
        differ = [*_differences(trace["differences"])]
        for part in trace["parts"]:
            under = [*_differences(part.get("differences", ()))]
            differ += [Node(local(part["start"]), under, bad=True)] if not part["agrees"] else []
        if altered := trace["scans"]["altered"]:
            differ.append(Node(self._w("trace.altered-scans", records=_places(altered)), bad=True))
        name = "trace.agrees" if trace["agrees"] else "trace.differs"
        return Node(self._w(name), differ, bad=not trace["agrees"])

    def _recompute(self, asked: Fields) -> Node:
        rules = [Node(", ".join(f"{key} {value}" for key, value in rule.items())) for rule in asked["plan"]["rules"]]
        cylinders = [Node(self._w("trace.reassigned", **one)) for one in asked["plan"].get("assigned", ())]
        filed = [Node(_rest(one)) for one in asked["plan"].get("filed", ())]
        told = {key: asked[key] for key in ("id", "who", "reason")}
        text = self._w("trace.recompute", **told, record=_place(asked["record"]))
        return self._sealed(Node(text, [*rules, *cylinders, *filed]), asked)

    def _members(self, trace: Fields) -> Node:
        scans, parts = trace["scans"], trace["parts"]
        under = []
        if parts:
            valid = [part for part in parts if part["n"]]
            name = "trace.minutes" if trace["period_s"] == 3600 else "trace.hours"
            rows = [
                Node(self._w("trace.part", start=local(one["start"]), record=_place(one["record"]),
                             mean=one["mean"], n=one["n"]), bad=not one["agrees"])
                for one in parts
            ]  # fmt: skip
            under.append(Node(self._w(name, count=len(parts), valid=len(valid)), rows))
        for one in scans["excluded"]:
            cause = known(f"cause.{one['cause']}", self._lang)
            rows = [Node(f"{_place(record[:2])}  {local(record[2])}") for record in one["records"]]
            text = self._w("trace.excluded", count=one["count"], cause=cause, origin=one["origin"])
            under.append(Node(text, rows))
        first, last = (_place(scans[name]) if scans[name] else "-" for name in ("first", "last"))
        told = self._w("trace.scans", count=scans["count"], used=scans["used"], first=first, last=last)
        return Node(told, under)

    def _corrections(self, trace: Fields) -> Node:
        under = [self._coefficients(one) for one in trace["corrections"]]
        under += [Node(self._w("trace.kv", id=one)) for one in trace.get("kv", ())]
        if not trace["corrections"]:
            return Node(self._w("trace.regulated" if trace["regulated"] else "trace.identity"), under)
        return Node(self._w("trace.corrections"), under)

    def _coefficients(self, one: Fields) -> Node:
        if one["record"] is None:
            return Node(self._w("trace.no-record", id=one["id"]), bad=True)
        under = []
        if "beta" in one:
            under.append(Node(self._w("trace.curve", model=one["model"], beta=one["beta"], sd=one["residual_sd"])))
        if density := one.get("density"):
            under.append(Node(self._w("trace.density", **density)))
        if one.get("slope") is not None:
            under.append(Node(self._w("trace.line", zero=one["zero"], slope=one["slope"])))
        if "chip" in one:
            under.append(Node(self._w("trace.table", **{k: one.get(k) for k in ("chip", "source", "who", "reason")})))
        if "run" in one:
            under.append(self._run(one["run"]))
        text = self._w("trace.coefficients", id=one["id"], since=local(one["from"]), record=_place(one["record"]))
        return self._sealed(Node(text, under), one)

    def _run(self, run: Fields) -> Node:
        under = []
        for point in run["points"]:
            cylinder = point["cylinder"]
            told = {key: point.get(key) for key in ("role", "gas", "n", "mean", "sd")}
            head = self._w("trace.point", **told, unit=unit(point["unit"]), record=_place(point["record"]))
            gas = self._w(
                "trace.cylinder",
                number=cylinder["number"] or "-",
                certificate=cylinder["certificate"] or "-",
                assigned=point["assigned"],
                uncertainty=point["uncertainty"],
                unit=unit(point["unit"]),
                scale=point["scale"],
            )
            acts = [
                Node(self._w("trace.register", **{k: row.get(k) for k in ("act", "who", "reason")}, t=local(row["t"])))
                for row in cylinder.get("register", ())
            ]
            expired = [Node(self._w("trace.expired"), bad=True)] if cylinder.get("expired") else []
            doubts = [Node(str(one), bad=True) for one in cylinder.get("cautions") or ()]
            under.append(self._sealed(Node(head, [Node(gas, [*acts, *expired, *doubts])]), point))
        place = _place(run["record"]) if "record" in run else "-"
        return Node(self._w("trace.run", id=run["id"], who=run.get("who") or "-", record=place), under)

    def _sealed(self, node: Node, place: Fields) -> Node:
        """A record that is not as it was is said to be so."""
        if place.get("seal") != "altered":
            return node
        return Node(node.text, [Node(self._w("trace.altered"), bad=True), *node.under], bad=True)

    def _marks(self, marks: Sequence[Fields]) -> Node:
        under = []
        for one in marks:
            rows = [
                self._sealed(Node(f"{row.get('what')}  {_place(row['record'])}  {local(row['t'])}  {_rest(row)}"), row)
                for row in one["behind"]
            ]
            under.append(Node(f"{known('cause.' + one['cause'], self._lang)}: {one['origin']}", rows))
        return Node(self._w("trace.marks" if marks else "trace.no-marks"), under)

    def _configuration(self, config: Fields | None) -> Node:
        if config is None:
            return Node(self._w("trace.no-configuration"), bad=True)
        blocks = [Node(name, _keys(block)) for name, block in config["keys"].items()]
        software = Node(self._w("trace.software", version=config["software"] or "-"))
        text = self._w("trace.configuration", sha256=config["sha256"], record=_place(config["record"]))
        return self._sealed(Node(text, [software, *blocks]), config)

    def _ledger(self, trace: Fields) -> Node:
        place, checkpoint = trace["ledger"], trace["ledger"]["checkpoint"]
        under = [Node(self._w("trace.leaf", leaf=place["leaf"]))]
        if trace["seal"] == "altered":
            under.append(Node(self._w("trace.altered"), bad=True))
        if checkpoint is None:
            under.append(Node(self._w("trace.open")))
        else:
            sealed = {True: "signed", False: "forged", None: "unknown-key"}[checkpoint["signature"]]
            told = self._w("trace.checkpoint", **{k: checkpoint[k] for k in ("seq", "size", "root")})
            key = Node(self._w(f"trace.{sealed}", key=checkpoint["key"]), bad=checkpoint["signature"] is False)
            proof = {True: "included", False: "not-included", None: "no-proof"}[place["included"]]
            path = [Node(one) for one in place["path"] or ()]
            inclusion = Node(self._w(f"trace.{proof}", count=len(path)), path, bad=place["included"] is False)
            under.append(Node(told, [key, inclusion]))
        return Node(self._w("trace.ledger", epoch=place["epoch"], seq=place["seq"]), under)

    def _delivered(self, places: Mapping[str, Fields]) -> Node:
        under = [
            Node(self._w("trace.passed" if one["passed"] else "trace.waiting", name=name, through=one["through"]))
            for name, one in places.items()
        ]
        return Node(self._w("trace.delivered" if places else "trace.no-uplinks"), under)


def _differences(told: Iterable[Fields]) -> Iterator[Node]:
    for one in told:
        yield Node(f"{one['member']}: {one['recorded']!r} / {one['again']!r}", bad=True)


def _place(record: Sequence[int]) -> str:
    return "/".join(map(str, record))


def _places(records: Sequence[Sequence[int]]) -> str:
    return ", ".join(map(_place, records))


def _rest(row: Fields) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("record", "t", "seal", "what"))


def _keys(block: Fields) -> list[Node]:
    return [Node(f"{key}: {value}") for key, value in block.items() if value not in (None, {}, [])]
