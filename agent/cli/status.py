"""The daemon's answers as a person reads them: tables, times in UTC+8, words instead of codes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agent.cli.words import say
from host.problems import Lang
from host.table import table
from metrology.periods import CHINA, DAY_S, HOUR_S, MINUTE_S, parse_iso
from metrology.units import SHOWN
from web.words import Words

Answer = Mapping[str, Any]
NOTHING: Final = "-"


def local(time: str | None) -> str:
    """A time of the daemon in UTC+8, to the second."""
    return f"{parse_iso(time).astimezone(CHINA):%Y-%m-%d %H:%M:%S}" if time else NOTHING


def span(seconds: float) -> str:
    """A span of time by its two largest parts."""
    whole = int(seconds)
    for large, small, unit, part in ((DAY_S, HOUR_S, "d", "h"), (HOUR_S, MINUTE_S, "h", "min")):
        if whole >= large:
            return f"{whole // large} {unit} {whole % large // small} {part}"
    return f"{whole // MINUTE_S} min" if whole >= MINUTE_S else f"{whole} s"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.6g}"


class Reader:
    """Puts answers into words of one language."""

    def __init__(self, lang: Lang) -> None:
        self._lang = lang
        self._words = Words("agent", lang)

    def _table(self, title: str, head: Iterable[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
        return f"\n{self._words(title)}\n{table([self._words(word) for word in head], rows, right)}" if rows else ""

    def _say(self, name: str, **values: object) -> str:
        return say(name, self._lang, **values)

    def values(self, answer: Answer) -> str:
        """Latest values under the time of the daemon."""
        rows = [
            (series, _figure(row["value"]), SHOWN.get(row["unit"], row["unit"]), local(row["at"]), self._quality(row))
            for series, row in answer["values"].items()
        ]
        head = ("series", "value", "unit", "time", "quality")
        return f"{local(answer['now'])} UTC+8\n{self._table('values', head, rows, (1,))}"

    def _quality(self, row: Answer) -> str:
        return ", ".join(self._words(f"cause_{cause}") for cause in row["causes"]) or self._words("good")

    def status(self, answer: Answer) -> str:
        """Everything: the station, its values, instruments, buses, uplinks, calibration, lock."""
        station, log = answer["station"], answer["log"]
        lines = [
            f"{station[f'name_{self._lang}']} ({station['id']})  {self.values(answer)}",
            self._instruments(answer),
            self._buses(answer["buses"]),
            self._uplinks(answer["uplinks"]),
            f"\n{self._words('log')}: {self._words('records', count=log['records'], epoch=log['epoch'])}, "
            + self._say("up", time=span(answer["uptime_s"])),
            f"{self._words('clock')}: {self.clock(answer['clock'])}",
            f"{self._say('space.head')}: {self._space(answer['space'])}",
            f"{self._words('calibration')}: {self._calibration(answer['calibration'])}",
            f"{self._words('maintenance')}: {self.lock(answer['maintenance'])}",
        ]
        if answer["rate"] != 1:
            lines.insert(0, self._words("speed", rate=f"{answer['rate']:g}"))
        return "\n".join(line for line in lines if line)

    def clock(self, clock: Answer) -> str:
        """What is believed of the clock."""
        error = None if clock["error_s"] is None else self._words("clock_error", error=f"{clock['error_s']:.1f}")
        held = self._words("clock_held") if clock["held"] else None
        return ", ".join(word for word in (self._words(f"clock_{clock['state']}"), error, held) if word)

    def _space(self, space: Answer) -> str:
        figures = {
            name: NOTHING if space[name] is None else space[name] for name in ("free_GB", "percent", "days_left")
        }
        return self._say(
            "space",
            step=self._say(f"space.step.{space['step']}"),
            free=figures["free_GB"],
            limit=space["limit_GB"],
            percent=figures["percent"],
            days=figures["days_left"],
            ballast=self._say("space.there" if space["ballast"] else "space.freed"),
        )

    def _instruments(self, answer: Answer) -> str:
        rows = [
            (name, str(one["polls"]), str(one["missed"]), local(one["last_scan_at"]), one["last_error"] or "")
            for name, one in answer["instruments"].items()
        ]
        for heard in answer["listeners"].values():
            rows += [
                (name, str(count), str(heard["missed"].get(name, 0)), _newest(answer, name), heard["last_fault"] or "")
                for name, count in heard["scans"].items()
            ]
        head = [self._words("name"), *(self._say(word) for word in ("scans", "missed", "last-scan"))]
        shown = table([*head, self._words("last_error")], rows, (1, 2)) if rows else ""
        return f"\n{self._say('instruments')}\n{shown}" if rows else ""

    def _buses(self, buses: Answer) -> str:
        rows = []
        for name, bus in buses.items():
            state = self._words("open" if bus["open"] else "closed")
            for address, unit in bus.get("units", {}).items() or [(NOTHING, {})]:
                unanswered = unit.get("timeouts", 0) + unit.get("bad_answers", 0)
                error = bus["error"] or (unit.get("last_error") if unit.get("consecutive_failures") else None)
                rows.append((name, state, address, str(unit.get("requests", NOTHING)), str(unanswered), error or ""))
        head = ("name", "link", "unit_address", "requests", "unanswered", "last_error")
        return self._table("buses", head, rows, (2, 3, 4))

    def _uplinks(self, uplinks: Answer) -> str:
        rows = [
            (
                name,
                self._link(up),
                str(up.get("unacknowledged", NOTHING)),
                _count(up, "backlog"),
                _count(up, "cosigned"),
                up["last_error"] or "",
            )
            for name, up in uplinks.items()
        ]
        head = ("name", "link", "unacknowledged", "backlog", "cosigned", "last_error")
        return self._table("uplinks", head, rows, (2, 3, 4))

    def _link(self, up: Answer) -> str:
        link = self._words("connected" if up["connected"] else "not_connected")
        return link if up["down_wall_s"] is None else f"{link}, {self._say('down', time=span(up['down_wall_s']))}"

    def _calibration(self, state: Answer) -> str:
        told = [
            f"{run['run']}: {self._say('phase.' + run['phase'])}, {run['port'] or NOTHING}" for run in state["runs"]
        ]
        told += [
            self._say("waiting", sequence=one["sequence"], since=local(one["since"]), reason=one["reason"])
            for one in state.get("waiting", [])
        ]
        told += [self._words("due", name=name, at=local(at)) for name, at in state["due"].items()]
        told += [self._out_of_control(one) for one in state.get("out_of_control", {}).values()]
        told += [self._say("guarded", sequence=name, reason=reason) for name, reason in state["guards"].items()]
        if not state["runs"]:
            told += [self._say("held", valve=valve, by=by) for valve, by in state["held"].items()]
        return "; ".join(told) or self._words("no_calibration")

    def _out_of_control(self, interval: Answer) -> str:
        why = interval["why"][-1]
        return self._say(
            "out-of-control",
            series=interval["series"],
            since=local(interval["start"]),
            role=why["role"],
            percent=why["drift_percent"] or 0.0,
            rules=why["rules"]["set"],
            verified=self._say("verified" if interval["verified"] else "unverified"),
        )

    def lock(self, state: Answer) -> str:
        """The maintenance lock."""
        held = state["held"]
        if held is None:
            return self._words("no_lock")
        until = self._say("until", time=local(held["until"])) if held["until"] else self._say("no-end")
        return f"{held['owner']}, {held['reason']}, {local(held['since'])}, {until}"

    def started(self, answer: Answer) -> str:
        """A run that began, or its place among those that wait."""
        if "waiting" in answer:
            return self._say("queued", place=answer["waiting"], reason=answer["reason"])
        return self._say("started", run=answer["run"], minutes=answer["seconds"] / 60)

    def aborted(self, answer: Answer) -> str:
        """Runs that were aborted, and where the inlet is."""
        home = self._say("home" if answer["home"] else "not-home")
        return self._say("aborted", runs=", ".join([*answer["aborted"], *answer["dropped"]]), home=home)


def _newest(answer: Answer, instrument: str) -> str:
    """Time of an instrument's newest value."""
    return local(max((v["at"] for s, v in answer["values"].items() if s.split(".")[0] == instrument), default=None))


def _count(up: Answer, name: str) -> str:
    return NOTHING if up.get(name) is None else str(up[name])
