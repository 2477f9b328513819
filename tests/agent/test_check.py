"""`plumeline check`: each broken configuration is told with its exact place and a remedy, and the exit code."""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.__main__ import main
from agent.checks.check import check_file
from agent.checks.findings import sentences
from host.problems import Problem
from protocols.tlog_cosign import cosigner_from_seed

NOW = datetime(2026, 6, 1, tzinfo=UTC)


KEY = ec.generate_private_key(ec.SECP256R1())


def certify(path: Path, *ends: datetime) -> None:
    """Write certificates of one key that end then."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stack-01")])
    path.write_bytes(b"".join(
        x509.CertificateBuilder(name, name, KEY.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(end)
        .sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)
        for end in ends
    ))  # fmt: skip


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a station's PC holds beside the configuration: credentials as systemd gives them, and certificates."""
    credentials = tmp_path / "credentials"
    (tmp_path / "tls").mkdir()
    credentials.mkdir()
    (credentials / "station-key").write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    (credentials / "hj212-pw").write_text("123456")
    (credentials / "mqtt-key").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name in ("ca", "stack-01", "tower-01", "field-01"):
        certify(tmp_path / "tls" / f"{name}.pem", NOW + timedelta(days=400))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    return tmp_path


def station(root: Path, etc: Path, example: str, *changes: tuple[str, str]) -> tuple[Path, str]:
    """An example with some text replaced (each must occur), as a file; and its text."""
    text = (root / "config" / f"{example}.hjson").read_text(encoding="utf-8").replace("/etc/plumeline", str(etc))
    text = text.replace("/var/lib/plumeline", str(etc / "store"))
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = etc / "station.hjson"
    path.write_text(text, encoding="utf-8")
    return path, text


def place(text: str, around: str) -> tuple[int, int]:
    """Line and column of the sign after the ^ in `around`, found as a person would: by eye."""
    before, after = around.split("^")
    assert text.count(before + after) == 1, around
    offset = text.index(before + after) + len(before)
    lines = text[:offset].split("\n")
    return len(lines), len(lines[-1]) + 1


@pytest.mark.parametrize("example", ["stack", "emission", "tower", "field"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_examples_are_clean(root: Path, etc: Path, example: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = station(root, etc, example)
    assert main(["--lang", lang, "check", str(path)]) == 0
    assert capsys.readouterr().out == ""


# example, (old, new), ^ before the place, code, part of the remedy
BROKEN: dict[str, tuple[str, tuple[str, str], str, str, str]] = {
    "unknown key": (
        "stack", ("poll_s: 1", "pol_s: 1"), "^pol_s: 1", "key-unknown-near", 'Did you mean "poll_s"?'),
    "wrong type": (
        "stack", ("port: 502", 'port: "502"'), 'port: ^"502"', "wrong-type", "a whole number without quotes"),
    "two units with one address": (
        "field", ("unit: 2", "unit: 1"), "unit: ^1\n      kind: \"research\"\n      rule: \"ghg\"\n      "
        "expected_per_minute: 6\n      series: { ch4: { minimum: 0, maximum: 50 }, air_temperature: {}, "
        "relative_humidity: {} }\n      position: { latitude: 31.2387", "unit-taken", "its own address"),
    "missing secret": (
        "stack", ('credential: "hj212-pw"', 'file: "/nowhere/pw"'), 'file: ^"/nowhere/pw"', "secret-missing",
        "Create it with mode 0600"),
    "unquoted word that swallows the line": (
        "tower", ('device: "/dev/serial/by-path/platform-serial-0", baud', "device: /dev/ttyS0, baud"),
        "device: ^/dev/ttyS0, baud", "swallowed-key", 'Quote it: write "/dev/ttyS0"'),
    "poll that does not divide a minute": (
        "tower", ("poll_s: 4", "poll_s: 7"), "poll_s: ^7", "poll-uneven", "divides 60"),
    "poll of no time at all": (
        "tower", ("poll_s: 4", "poll_s: 5e-324"), "poll_s: ^5e-324", "out-of-limits", ">= 0.001"),
    "poll too slow for the rule": (
        "stack", ("poll_s: 1", "poll_s: 10"), "poll_s: ^10", "minute-impossible", "poll_s: 1 (at most 5)"),
    "unknown measurand": (
        "stack", ('so2: "zero"', 'so3: "zero"'), 'roles: { ^so3: "zero"', "measurand-unknown", 'Did you mean "so2"?'),
    "valve port that does not exist": (
        "tower", ('port: "target"', 'port: "taget"'), 'port: ^"taget"', "port-unknown", 'Did you mean "target"?'),
    "one MN given to two outlets": (
        "stack", ("    centre: {\n", '    second: {\n      kind: "hj212"\n      host: "b.example.org"\n'
                  '      port: 9006\n'
                  '      outlet: "stack-2"\n      mn: "ABCD0100000001"\n      pw: { credential: "hj212-pw" }\n'
                  '      factors: { a21026: { series: "cems.so2" } }\n    }\n    centre: {\n'),
        'outlet: "stack-2"\n      mn: ^"ABCD', "mn-twice", "the one the platform assigned to this outlet"),
    "two uplinks to one centre that differ": (
        "stack", ("    centre: {\n", '    second: {\n      kind: "mqtt"\n      host: "hub.example.org"\n'
                  '      port: 8883\n      kinds: ["event"]\n    }\n'
                  '    third: {\n      kind: "mqtt"\n      host: "hub.example.org"\n      port: 8883\n    }\n'
                  '    centre: {\n'), "    third: ^{", "centre-twice", "the same kinds and the same since"),
    "unknown leniency": (
        "stack", ('      st: "31"\n', '      st: "31"\n      leniencies: ["modbus_crc", "gbk"]\n'),
        'leniencies: ["modbus_crc", ^"gbk"]', "leniency-unknown", "gbk_text"),
    "act that the edition does not have": (
        "stack", ('      st: "31"\n', '      st: "31"\n      allow: ["3011", "3024"]\n'),
        'allow: ["3011", ^"3024"]', "act-unknown", "1012, 1072, 3011"),
    "MN too long for 2005": (
        "stack", ('mn: "ABCD0100000001"', 'mn: "ABCD0100000001AB", edition: 2005'), 'mn: ^"ABCD0100000001AB"',
        "mn-2005", "or its edition"),
    "heartbeat before 2025": (
        "stack", ('      st: "31"\n', '      st: "31"\n      heartbeat_s: 60\n'), "^heartbeat_s: 60", "edition-lacks",
        "Leave it out"),
    "no number of a treatment unit": (
        "stack", ('      st: "31"\n', '      st: "31"\n      status: { SB1: { series: "cems.so2" } }\n'),
        "status: { ^SB1", "unit-number", "Write 1 for SB1"),
    "information that nobody knows": (
        "stack", ('      st: "31"\n', '      st: "31"\n      info: { i33101: {} }\n'), "info: { ^i33101",
        "info-missing", "a series or a value"),
    "information given twice": (
        "stack", ('      st: "31"\n', '      st: "31"\n      info: { i12001: { value: "0" } }\n'),
        "info: { i12001: { ^value", "info-given", "empty"),
    "information without a code": (
        "stack", ('      st: "31"\n', '      st: "31"\n      info: { i12009: {} }\n'), "info: { ^i12009",
        "info-unknown", "i12001"),
    "no code of a factor": (
        "stack", ("a21026: { series", '"a-1": { series'), 'factors: {\n        ^"a-1"', "factor-code",
        "the platform knows"),
    "key that is no SM4 key": (
        "stack", ('      st: "31"\n', '      edition: 2025\n      sm4_key: { credential: "hj212-pw" }\n'),
        'sm4_key: { credential: ^"hj212-pw"', "sm4-form", "16 characters"),
    "unknown bus": ("stack", ('bus: "plc"', 'bus: "plx"'), 'bus: ^"plx"', "bus-unknown", 'Did you mean "plc"?'),
    "unknown driver": (
        "stack", ('driver: "cems_block"', 'driver: "cems"'), 'driver: ^"cems"', "driver-unknown", "cems_block"),
    "driver on a wrong bus": (
        "tower", ('bus: "ndir"', 'bus: "crds"'), 'bus: ^"crds"\n      unit: 254', "protocol",
        "modbus-rtu / modbus-tcp"),
    "no unit on Modbus": ("stack", ("      unit: 1\n", ""), "^cems: {", "unit-missing", "unit: 1"),
    "two buses on one port": (
        "tower", ("platform-serial-1", "platform-serial-0"), 'device: ^"/dev/serial/by-path/platform-serial-0", '
        "baud: 19200", "port-taken", "share one bus"),
    "poll of a stream": (
        "field", ('rule: "hj-ambient", expected', 'rule: "hj-ambient", poll_s: 1, expected'), "poll_s: ^1, expected",
        "poll-of-stream", "expected_per_minute"),
    "no poll": ("stack", ("      poll_s: 1\n", ""), "^cems: {", "poll-missing", "poll_s: 1"),
    "unknown option": (
        "stack", ("base_address: 0", "base_adress: 0"), "^base_adress: 0", "option-unknown", '"base_address"'),
    "option of a wrong kind": (
        "stack", ("base_address: 0", 'base_address: "0"'), 'base_address: ^"0"', "option-type", "whole number"),
    "option the driver refuses": (
        "stack", ('word_order: "ABCD"', 'word_order: "ACBD"'), '^options: { base_address: 0', "driver-refuses", "says"),
    "missing option": ("tower", ('        clock: "UTC"\n', ""), "^crds: {\n      driver", "option-missing", "UTC"),
    "empty range": (
        "stack", ("so2: { minimum: 0,", "so2: { minimum: 100,"), "so2: { minimum: ^100", "range-empty",
        "below maximum"),
    "sample port that does not exist": (
        "tower", ('sample: "sample"', 'sample: "air"'), 'sample: ^"air"', "sample-port-unknown", "sample"),
    "one coil for two ports": (
        "tower", ("span: { coil: 2 }", "span: { coil: 1 }"), "span: { coil: ^1", "coil-taken", "its own coil"),
    "valve that stays open": (
        "tower", ('on_power_loss: "sample"', 'on_power_loss: "stays"'), 'on_power_loss: ^"stays"',
        "valve-stays-open", "upstream shut-off"),
    "valve of another kind than its ports": (
        "tower", ("zero: { coil: 1 }", "zero: { position: 1 }"), "^zero: { position: 1 }", "port-key",
        "zero: { coil: ... }"),
    "relay module without an address": (
        "tower", ("      unit: 1\n      ports", "      ports"), "^gas: {\n      bus", "valve-unit-missing",
        "Modbus address"),
    "valve on a line of another kind": (
        "tower", ('bus: "relays"\n      unit: 1\n', 'bus: "crds"\n      unit: 1\n'), 'bus: ^"crds"\n      unit',
        "valve-protocol", "modbus-rtu, modbus-tcp"),
    "key of another kind of valve": (
        "tower", ("      dead_man_s: 900\n", '      dead_man_s: 900\n      id: "4"\n'), '^id: "4"', "valve-key",
        "Remove id"),
    "gas on the sample port": (
        "tower", ('port: "zero"', 'port: "sample"'), 'port: ^"sample"', "port-is-sample",
        "the cylinder is connected to"),
    "two gases on one port": (
        "tower", ('gas: "target", port: "target"', 'gas: "target", port: "zero"'), 'gas: ^"target", port: "zero"',
        "port-has-other-gas", "its own port"),
    "gas that does not exist": (
        "tower", ('gas: "target"', 'gas: "targett"'), 'gas: ^"targett"', "gas-unknown", '"target"'),
    "role without assigned value": (
        "stack", ('nox: "zero", o2', 'nox: "zero", dust: "zero", o2'), '^dust: "zero"', "not-assigned",
        "cylinders.zero.assigned"),
    "value without a certificate": (
        "tower", ('      certificate: "ZA-2025-014"\n', ""), '^zero: {\n      number', "cylinder-certificate-missing",
        "none of the three"),
    "gauge that tells no pressure": (
        "tower", ('number: "CC-310022"', 'number: "CC-310022"\n      pressure_series: "weather.wind_speed"'),
        'pressure_series: ^"weather', "no-pressure", "reads the gauge"),
    "value on a scale without a version": (
        "tower", ('uncertainty: 0.05, scale: "WMO CO2 X2019"', 'uncertainty: 0.05, scale: "WMO"'), 'scale: ^"WMO" }',
        "wrong-form", "GBW(E)"),
    "gas on a measurand that nothing affects": (
        "stack", ('affects: ["so2", "nox", "o2"', 'affects: ["so2", "nox"'), 'nox: "zero", ^o2: "zero"',
        "role-not-affected", 'Add "o2" to affects'),
    "affected measurand that does not exist": (
        "stack", ('"co2_percent"] //', '"co2_percnt"] //'), '^"co2_percnt"', "measurand-unknown",
        'Did you mean "co2_percent"?'),
    "assigned in another kind of unit": (
        "stack", ('value: 80.2, unit: "mg/m3"', 'value: 80.2, unit: "umol/mol"'), '80.2, unit: ^"umol/mol"',
        "assigned-unit", "mg/m3"),
    "span at zero": (
        "stack", ("value: 80.2", "value: 0"), 'port: "span"\n          roles: { so2: ^"span"', "span-not-above-zero",
        "above the zero gas"),
    "schedule shorter than the run": (
        "stack", ("every_h: 24", "every_h: 0.1"), "every_h: ^0.1", "schedule-short", "less often"),
    "averaging shorter than a poll": (
        "tower", ("average_s: 120", "average_s: 3"), "average_s: ^3", "average-short", "several polls"),
    "unknown series": (
        "stack", ('series: "cems.dust"', 'series: "cems.dusk"'), 'series: ^"cems.dusk"', "series-unknown", "cems.dust"),
    "amount to mass without a state": (
        "tower", ("    centre: {\n", '    platform: {\n      kind: "hj212"\n      host: "b.example.org"\n'
                  '      port: 9006\n      outlet: "air"\n      mn: "ABCD0100000002"\n'
                  '      pw: { credential: "hj212-pw" }\n      factors: { a05001: { series: "crds.co2_dry" } }\n    }\n'
                  "    centre: {\n"),
        "^a05001", "state-missing", "ambient-298K"),
    "unit that cannot be had": (
        "stack", ('series: "cems.o2" }', 'series: "cems.o2", unit: "kPa" }'), '^unit: "kPa"', "unit-impossible",
        "can be converted to"),
    "guard without bounds": (
        "stack", ("  sequences: {\n", '  guards: { hot: { series: "cems.so2", unit: "mg/m3" } }\n  sequences: {\n'),
        "guards: { ^hot", "guard-unbounded", "Add below, above, or both"),
    "guard that nothing satisfies": (
        "stack", ("  sequences: {\n", '  guards: { hot: { series: "cems.so2", unit: "mg/m3", above: 5, below: 3 } }\n'
                  "  sequences: {\n"),
        "above: ^5", "guard-empty", "above smaller than below"),
    "guard on nothing": (
        "stack", ("  sequences: {\n", '  guards: { co: { series: "shelter.co", unit: "%", below: 3 } }\n'
                  "  sequences: {\n"),
        'series: ^"shelter.co"', "series-unknown", "cems.o2"),
    "guard in a unit of another kind": (
        "stack", ("      recovery_s: 180\n", '      recovery_s: 180\n      guards: { p: { '
                  'series: "cems.static_pressure", unit: "%", below: 3 } }\n'),
        'unit: ^"%", below', "guard-unit", "Write the bounds in Pa"),
    "sequence of two purposes": (
        "stack", ("      recovery_s: 180\n", '      recovery_s: 180\n      blowback: { port: "air", blow_s: 9 }\n'),
        "^daily: {", "sequence-purpose", "and not both"),
    "blowback through a port of gas": (
        "stack", ("\n    daily: {", '\n    clean: { valve: "gas", instrument: "cems", recovery_s: 9, '
                  'blowback: { port: "span", blow_s: 9 } }\n    daily: {'),
        'gas: ^"span"', "port-has-other-gas", "its own port"),
    "platform that starts what is not there": (
        "stack", ('series: "cems.so2" }', 'series: "cems.so2", calibrate: { both: "dayly" } }'), 'both: ^"dayly"',
        "sequence-unknown", 'Did you mean "daily"?'),
    "platform that starts what does not fit": (
        "stack", ('series: "cems.dust" }', 'series: "cems.dust", calibrate: { check: "daily" } }'), 'check: ^"daily"',
        "sequence-unfit", "that role for the measurand"),
    "platform that blows back with gas": (
        "stack", ('series: "cems.so2" }', 'series: "cems.so2", calibrate: { blowback: "daily" } }'),
        'blowback: ^"daily"', "sequence-unfit", "for blowback one with a blowback"),
    "certificate that is not there": (
        "stack", ("ca.pem", "cb.pem"), 'ca: ^"', "certificate-missing", "correct the path"),
    "certificate that is none": (
        "stack", ("tls/ca.pem", "credentials/hj212-pw"), 'ca: ^"', "certificate-form", "in PEM form"),
    "store that is a file": (
        "stack", ("/store", "/credentials/hj212-pw/store"), 'store: { path: ^"', "store-file", "path of a folder"),
    "password that no platform takes": (
        "stack", ('pw: { credential: "hj212-pw"', 'pw: { credential: "mqtt-key"'), 'pw: { credential: ^"mqtt-key"',
        "pw-form", "the PW the platform assigned"),
    "key of another certificate": (
        "stack", ('key: { credential: "mqtt-key"', 'key: { credential: "hj212-pw"'), 'key: ^{ credential: "hj212-pw"',
        "certificate-key", "the certificate was issued for"),
    "missing credential": (
        "stack", ('"mqtt-key"', '"mqtt-kay"'), '^"mqtt-kay"', "secret-missing", "LoadCredentialEncrypted"),
    "password that is no key": (
        "stack", ('"station-key"', '"hj212-pw"'), 'ledger: { key: { credential: ^"hj212-pw"', "key-form", "base64"),
    "stream nobody speaks on": (
        "field", ('bus: "gateway-2"', 'bus: "gateway-1"'), '^gateway-2: {', "stream-unused", "Remove the bus"),
    "two drivers on one stream": (
        "field", ('driver: "micro_board"\n      bus: "gateway-1"\n      unit: 2',
                  'driver: "plantower_pms"\n      bus: "gateway-1"\n      unit: 2'),
        'driver: ^"plantower_pms"\n', "stream-mixed", "its own bus"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_broken_configurations_are_told_with_place_and_remedy(
    root: Path, etc: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    example, change, around, code, remedy = BROKEN[what]
    path, text = station(root, etc, example, change)
    line, column = place(text, around)
    assert main(["--lang", "en", "check", str(path)]) == 1
    told = capsys.readouterr().out
    found = [p for p in check_file(path, now=NOW).problems if p.code == code]
    assert [(p.line, p.column, p.severity) for p in found][:1] == [(line, column, "error")], told
    expected = re.escape(f"{path}:{line}:{column}: error: ") + r"[^\n]+ [^\n]*" + re.escape(remedy)
    assert re.search(expected, told), told


def test_an_unreadable_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "en", "check", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith(f"{tmp_path}:1:1: error: {tmp_path} is a folder.")
    path = tmp_path / "station.hjson"
    assert main(["--lang", "en", "check", str(path)]) == 1
    assert f"{path}:1:1: error: There is no file" in capsys.readouterr().out
    path.write_bytes(b"{ station: \xff }")
    assert main(["--lang", "en", "check", str(path)]) == 1
    assert f"{path}:1:12: error: Byte 0xFF is not UTF-8. Save the file as UTF-8" in capsys.readouterr().out


def test_a_file_without_permission_is_told(root: Path, etc: Path) -> None:
    path, _ = station(root, etc, "stack")
    path.chmod(0)
    check_file(path, now=NOW)  # everything it needs is loaded by now
    nobody = 65534
    if (user := os.geteuid()) == 0:  # root reads every file: be somebody else for one call
        os.seteuid(nobody)
    try:
        (problem,) = check_file(path, now=NOW).problems
    finally:
        os.seteuid(user)
    assert str(problem).startswith(f"{path}:1:1: error: {path} cannot be read: Permission denied. Let the user")


def warning(path: Path, code: str, now: datetime = NOW) -> Problem:
    """The only problem of a file that runs."""
    checked = check_file(path, now=now)
    assert checked.config is not None
    assert [(p.severity, p.code) for p in checked.problems] == [("warning", code)]
    return checked.problems[0]


def test_gases_of_one_sequence_on_different_scales_are_a_warning(
    root: Path, etc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ('uncertainty: 0.03, scale: "WMO CO2 X2019"', 'uncertainty: 0.03, scale: "WMO CO2 X2007"')
    path, _ = station(root, etc, "tower", other)
    warning(path, "scales-differ")
    assert main(["--lang", "en", "check", str(path)]) == 0
    assert "co2_dry on different scales (zero: WMO CO2 X2019, span: WMO CO2 X2007, target" in capsys.readouterr().out


def test_uplinks_that_differ_are_a_warning_until_it_is_known_which_centre_each_leads_to(root: Path, etc: Path) -> None:
    ours, other = (
        f'witness: "{cosigner_from_seed(base64.b64encode(bytes([n]) * 32).decode(), "w").vkey}"' for n in (1, 2)
    )

    def stack(theirs: str, own: str) -> Path:
        second = f'    second: {{\n kind: "mqtt"\n host: "b"\n port: 8883\n kinds: ["event"]\n {theirs}\n }}\n'
        return station(root, etc, "stack", ("    centre: {\n", f"{second}    centre: {{\n      {own}\n"))[0]

    warning(stack("", ""), "centre-maybe-twice")
    warning(stack(other, ""), "centre-maybe-twice")
    assert check_file(stack(other, ours), now=NOW).problems == []
    assert [one.code for one in check_file(stack(ours, ours), now=NOW).problems] == ["centre-twice"]


@pytest.mark.parametrize(("since", "twice"), [("now", True), ("beginning", False), ("2026-01-01T00:00:00Z", False)])
def test_two_uplinks_from_now_on_do_not_begin_together(root: Path, etc: Path, since: str, twice: bool) -> None:
    added = "".join(
        f'    {name}: {{\n kind: "mqtt"\n host: "b"\n port: 8883\n since: "{since}"\n }}\n' for name in ("n1", "n2")
    )
    path, _ = station(root, etc, "stack", ("    centre: {\n", f"{added}    centre: {{\n"))
    assert ("centre-twice" in [one.code for one in check_file(path, now=NOW).problems]) == twice


def test_an_expired_cylinder_is_a_warning_and_the_station_runs(
    root: Path, etc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = station(root, etc, "tower", ('expires: "2030-06-30"', 'expires: "2024-06-30"'))
    found = warning(path, "cylinder-expired")
    line, column = place(text, 'expires: ^"2024-06-30"')
    assert (found.line, found.column) == (line, column)
    assert main(["--lang", "en", "check", str(path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        f"{path}:{line}:{column}: warning: The certificate of cylinder zero (CC-310022) has expired."
    )
    assert "Have it certified again or replace it" in told


def test_a_cylinder_is_good_on_its_last_day_and_told_a_month_before(root: Path, etc: Path) -> None:
    path, text = station(root, etc, "tower", ('expires: "2030-06-30"', 'expires: "2029-06-30"'))
    for at, code in (
        (datetime(2029, 5, 30, tzinfo=UTC), None), (datetime(2029, 5, 31, tzinfo=UTC), "cylinder-expires"),
        (datetime(2029, 6, 30, 23, 59, tzinfo=UTC), "cylinder-expires"),
        (datetime(2029, 7, 1, tzinfo=UTC), "cylinder-expired"),
    ):  # fmt: skip
        checked = check_file(path, now=at, wall=NOW)
        assert checked.config is not None
        assert [(p.severity, p.code) for p in checked.problems] == [("warning", code)] * (code is not None)
    (found,) = check_file(path, now=datetime(2029, 6, 20, tzinfo=UTC), wall=NOW).problems
    assert (found.line, found.column) == place(text, 'expires: ^"2029-06-30"')
    assert "expires in 10 days" in found.what


def test_certificates_that_run_out_are_warnings_by_the_real_time(root: Path, etc: Path) -> None:
    path, _ = station(root, etc, "stack")
    ours, ca = etc / "tls" / "stack-01.pem", etc / "tls" / "ca.pem"
    later = NOW + timedelta(days=400)
    for file, ends, code in (
        (ours, [NOW + timedelta(days=31)], None),
        (ours, [NOW + timedelta(days=29)], "certificate-expires"),
        (ours, [NOW - timedelta(days=1), later], "certificate-expired"),
        (ca, [NOW - timedelta(days=1), later], None),
        (ca, [NOW + timedelta(days=2)], "certificate-expires"),
    ):
        certify(file, *ends)
        found = check_file(path, now=NOW - timedelta(days=3000), wall=NOW)
        assert found.config is not None
        assert [(p.severity, p.code) for p in found.problems] == [("warning", code)] * (code is not None)
        certify(file, later)


def test_no_message_holds_a_secret(root: Path, etc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (etc / "credentials" / "hj212-pw").write_text("TooLongSecret")
    path, text = station(root, etc, "stack")
    assert main(["--lang", "en", "check", str(path)]) == 1
    line, column = place(text, 'pw: { credential: ^"hj212-pw"')
    told = capsys.readouterr().out
    assert told.startswith(f"{path}:{line}:{column}: error: This secret is no password of HJ 212")
    assert "TooLong" not in told


def test_a_store_that_cannot_be_made_is_told(root: Path, etc: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir(mode=0o555)
        path, _ = station(root, etc, "stack", (f"{etc}/store", f"{closed}/deep/store"))
        open_here = folder / "station.hjson"
        open_here.write_bytes(path.read_bytes())
        check_file(path, now=NOW)  # everything it needs is loaded by now
        if (user := os.geteuid()) == 0:  # root writes everywhere: be somebody else for one call
            os.seteuid(65534)
        try:
            problems = check_file(open_here, now=NOW).problems
        finally:
            os.seteuid(user)
    (found,) = [problem for problem in problems if problem.code == "store-closed"]
    assert found.severity == "error"
    assert f"{closed}" in found.what
    assert f"{closed}/deep/store" in found.remedy


def test_a_minute_without_a_reading_to_spare_is_a_warning(root: Path, etc: Path) -> None:
    path, text = station(root, etc, "stack", ("poll_s: 1", "poll_s: 5"))
    found = warning(path, "minute-tight")
    assert (found.line, found.column) == place(text, "poll_s: ^5")
    assert "12" in found.what


ROTARY = (
    'ports: { sample: { coil: 0 }, zero: { coil: 1 }, span: { coil: 2 }, target: { coil: 3 } }\n'
    '      sample: "sample"\n      on_power_loss: "sample"\n      dead_man_s: 900\n',
    'kind: "vici"\n      ports: { sample: { position: 1 }, zero: { position: 2 }, span: { position: 4 }, '
    'target: { position: 6 } }\n      sample: "sample"\n      on_power_loss: "closed"\n',
)  # fmt: skip


def test_a_rotary_valve_stays_and_has_no_passive_way_home(root: Path, etc: Path) -> None:
    line = ('      bus: "relays"\n      unit: 1\n', '      bus: "selector"\n')
    bus = (
        "    relays: {",
        '    selector: { wire: { kind: "tcp", host: "192.0.2.7", port: 4001 }, protocol: "text" }\n    relays: {',
    )
    path, _ = station(root, etc, "tower", line, bus, ROTARY)
    (problem,) = check_file(path, now=NOW).problems
    assert (problem.code, problem.severity) == ("valve-always-stays", "error")
    stays = ('on_power_loss: "closed"', 'on_power_loss: "stays"\n      upstream_shutoff_closes_without_power: true')
    path, _ = station(root, etc, "tower", line, bus, ROTARY, stays)
    (problem,) = check_file(path, now=NOW).problems
    assert (problem.code, problem.severity) == ("valve-no-passive-way", "warning")
    assert "marked until" in problem.remedy
    path, _ = station(root, etc, "tower", line, bus, ROTARY, stays, ("zero: { position: 2 }", "zero: { position: 1 }"))
    assert "coil-taken" in {problem.code for problem in check_file(path, now=NOW).problems}


def test_a_valve_the_analyzer_drives_shares_its_line(root: Path, etc: Path) -> None:
    own = ('      bus: "relays"\n      unit: 1\n', '      bus: "crds"\n')
    masks = (
        ROTARY[0],
        'kind: "picarro"\n'
        "      ports: { sample: { mask: 0 }, zero: { mask: 1 }, span: { mask: 2 }, target: { mask: 4 } }\n"
        '      sample: "sample"\n      on_power_loss: "sample"\n',
    )
    path, _ = station(root, etc, "tower", own, masks)
    assert [problem.code for problem in check_file(path, now=NOW).problems] == []


def test_methane_with_three_decimals_is_a_warning(root: Path, etc: Path) -> None:
    path, text = station(root, etc, "tower", ("decimals: 6", "decimals: 3"))
    problems = check_file(path, now=NOW).problems
    assert {(p.line, p.column, p.severity) for p in problems} == {(*place(text, "decimals: ^3"), "warning")}
    assert any("CH4" in p.what for p in problems)


def test_a_quota_below_five_years_is_a_warning(root: Path, etc: Path) -> None:
    path, text = station(root, etc, "stack", ("quota_GB: 200", "quota_GB: 20"))
    found = warning(path, "quota-short")
    assert (found.line, found.column) == place(text, "quota_GB: ^20")
    needed = float(re.search(r"about (\d+) GB", found.what)[1])  # type: ignore[index]
    # A scan each second for five years: between 300 and 1500 bytes of it.
    assert 300 < needed * 1e9 / (5 * 366 * 86400) < 1500


def test_a_secret_open_to_others_is_an_error(root: Path, etc: Path) -> None:
    secret = etc / "pw"
    secret.write_text("123456")
    path, text = station(root, etc, "stack", ('credential: "hj212-pw"', f'file: "{secret}"'))
    for mode, codes in ((0o600, []), (0o400, []), (0o640, ["secret-open"]), (0o604, ["secret-open"])):
        secret.chmod(mode)
        problems = check_file(path, now=NOW).problems
        assert [p.code for p in problems] == codes
        if problems:
            assert (problems[0].line, problems[0].column) == place(text, f'file: ^"{secret}"')
            assert problems[0].remedy == f"Run: chmod 600 {secret}"


def test_credentials_cannot_be_seen_outside_the_service(root: Path, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    path, _ = station(root, etc, "tower")
    checked = check_file(path, now=NOW)
    assert checked.config is not None
    assert {(p.severity, p.code) for p in checked.problems} == {("warning", "secret-outside")}
    assert main(["check", str(path)]) == 0
    # A daemon cannot do without them.
    assert main(["run", str(path)]) == 1


def test_one_mn_to_two_platforms_of_one_outlet_is_well(root: Path, etc: Path) -> None:
    example, change, *_ = BROKEN["one MN given to two outlets"]
    path, _ = station(root, etc, example, (change[0], change[1].replace("stack-2", "stack-1")))
    assert check_file(path, now=NOW).problems == []


def test_problems_come_as_json_and_in_chinese(root: Path, etc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, text = station(root, etc, "stack", ("poll_s: 1", "poll_s: 10"))
    assert main(["--lang", "zh", "check", str(path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["line"], found["column"]) == place(text, "poll_s: ^10")
    assert found["key"] == "instruments.cems.poll_s"
    assert found["code"] == "minute-impossible"
    assert "分钟" in found["what"]


def test_the_command_is_a_process_that_ends_with_the_right_code(root: Path, etc: Path) -> None:
    command = [sys.executable, "-m", "agent", "check"]
    good, _ = station(root, etc, "stack")
    assert subprocess.run([*command, str(good)], check=False).returncode == 0
    bad, _ = station(root, etc, "stack", ("poll_s: 1", "poll_s: 10"))
    ended = subprocess.run([*command, str(bad)], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.count("\n"), ended.stderr) == (1, 1, "")
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2


def test_checking_imports_no_wire_no_broker_no_cipher(root: Path) -> None:
    code = (
        "import sys; from agent.__main__ import main; main(['check', 'config/tower.hjson']);"
        "print(sorted({'pymodbus', 'aiomqtt', 'paho', 'cryptography', 'apsw', 'numpy', 'serial'} & sys.modules.keys()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_every_sentence_is_there_in_both_languages_and_used(root: Path) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (root / "agent" / "checks").glob("*.py"))
    for code, row in sentences().table.items():
        if code == "words":
            continue
        assert {lang: len(row[lang]) for lang in ("en", "zh")} == {"en": 2, "zh": 2}, code
        fields = [set(re.findall(r"{(\w+)", "".join(row[lang]))) for lang in ("en", "zh")]
        assert fields[0] == fields[1], code
        assert f'"{code}"' in sources or code.startswith("secret-"), f"{code} is never said"
