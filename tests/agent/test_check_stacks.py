"""What `plumeline check` says of stacks."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.checks.check import check_file

NOW = datetime(2026, 6, 15, tzinfo=UTC)
KV = 'valid_from: "2026-03-06"'
SECOND = """
        }
        {
          id: "kv-2026-09"
          value: 1.07
          repeatability: 0.012
          reference: "on-site"
          determined: "2026-08-30"
          filed: "2026-09-02"
          valid_from: "%s"
          filed_by: "Li Wei"
          authority: "operator"
          reason: "comparison"
        }
"""


def write(root: Path, folder: Path, *changes: tuple[str, str]) -> Path:
    text = (root / "config" / "emission.hjson").read_text(encoding="utf-8")
    for name, secret in (("station-key", base64.b64encode(bytes(32))), ("hj212-pw", b"123456"), ("mqtt-key", b"")):
        (folder / name).write_bytes(secret)
        (folder / name).chmod(0o600)
        text = text.replace(f'credential: "{name}"', f'file: "{folder / name}"')
    start = text.index("    centre: {")
    text = text[:start] + "  }\n\n" + text[text.index("  socket:") :]
    text = text.replace("/var/lib/plumeline", str(folder / "store"))
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "station.hjson"
    path.write_text(text, encoding="utf-8")
    return path


def codes(root: Path, folder: Path, *changes: tuple[str, str]) -> list[tuple[str, str, str]]:
    found = check_file(write(root, folder, *changes), now=NOW).problems
    return [(one.severity, one.code, one.key) for one in found]


def test_the_example_is_clean(root: Path, tmp_path: Path) -> None:
    assert codes(root, tmp_path) == []


TEMPERATURE = 'temperature: { series: "cems.stack_temperature" }'
MAIN = "stacks.main"


@pytest.mark.parametrize(
    ("change", "severity", "code", "key"),
    [
        (("    main: {", "    cems: {"), "error", "stack-name-taken", "stacks.cems"),
        ((TEMPERATURE, ""), "error", "stack-input-missing", f"{MAIN}.inputs"),
        ((TEMPERATURE, 'temperature: { series: "cems.stack_temp" }'), "error", "series-unknown",
         f"{MAIN}.inputs.temperature.series"),
        ((TEMPERATURE, 'temperature: { series: "cems.so2" }'), "error", "stack-unit",
         f"{MAIN}.inputs.temperature.series"),
        ((TEMPERATURE, "temperature: { value: 130 }"), "error", "stack-input-source", f"{MAIN}.inputs.temperature"),
        (('differential_pressure: { series: "cems.differential_pressure" }', ""), "error", "stack-flow-input",
         f"{MAIN}.inputs"),
        (('differential_pressure: { series: "cems.differential_pressure" }',
          'differential_pressure: { value: 80, unit: "Pa" }'), "error", "stack-flow-constant",
         f"{MAIN}.inputs.differential_pressure"),
        (("pitot_coefficient: 0.84", ""), "error", "stack-pitot-missing", MAIN),
        (('moisture: { series: "cems.stack_humidity" }', ""), "error", "stack-input-missing", f"{MAIN}.inputs"),
        (('oxygen: { series: "cems.o2" }', ""), "error", "stack-input-missing", f"{MAIN}.inputs"),
        (('so2: { series: "cems.so2" }', 'so2: { series: "cems.so2", no2: "cems.nox" }'), "error", "stack-no2",
         f"{MAIN}.gases.so2.no2"),
        (('emission: "main.so2_rate"', 'emission: "main.so2_std"'), "error", "emission-no-rate",
         "uplinks.authority.factors.a21026.emission"),
        (('filed: "2026-03-05"', 'filed: "2026-03-07"'), "error", "kv-back-dated", f"{MAIN}.kv"),
        (("oxygen: { reference_percent: 6 }", "oxygen: { reference_percent: 6 }\n      stopped: {}"), "error",
         "stack-stop-empty", f"{MAIN}.stopped"),
        (('filed_by: "Li Wei"', 'filed_by: " "'), "error", "wrong-form", f"{MAIN}.kv.0.filed_by"),
        ((KV, 'valid_from: "2027-01-01"'), "warning", "kv-not-yet", f"{MAIN}.kv"),
        (('temperature: { series: "cems.stack_temperature" }',
          'temperature: { series: "cems.stack_temperature", max_age_s: 1.5 }'), "warning", "stack-age-short",
         f"{MAIN}.inputs.temperature"),
        (("so2: { minimum: 0, maximum: 100 }", "so2: {}"), "warning", "stack-range-unstated", f"{MAIN}.gases.so2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    root: Path, tmp_path: Path, change: tuple[str, str], severity: str, code: str, key: str
) -> None:
    assert (severity, code, key) in codes(root, tmp_path, change)


def test_density_follows_from_the_composition_where_it_is_measured(root: Path, tmp_path: Path) -> None:
    declared = ("standard_density_kg_m3: 1.31", "")
    assert codes(root, tmp_path, declared) == []
    without_co2 = ('co2: { series: "cems.co2_percent" }', "")
    assert ("error", "stack-density", MAIN) in codes(root, tmp_path, declared, without_co2)


def test_a_slow_poll_is_a_warning_once(root: Path, tmp_path: Path) -> None:
    found = codes(root, tmp_path, ("poll_s: 1", "poll_s: 4"))
    assert [code for _, code, _ in found].count("stack-poll-slow") == 1


def test_a_new_coefficient_is_filed_behind_the_others(root: Path, tmp_path: Path) -> None:
    end = '          reason: "comparison with the reference method, report 2026-017"\n        }\n'
    good = (end, end.rstrip("\n }") + SECOND % "2026-09-03")
    assert codes(root, tmp_path, good) == []
    back = (end, end.rstrip("\n }") + SECOND % "2026-09-01")
    assert codes(root, tmp_path, back) == [("error", "kv-back-dated", f"{MAIN}.kv")]
    before = (SECOND % "2026-03-04").replace('filed: "2026-09-02"', 'filed: "2026-03-01"')
    assert codes(root, tmp_path, (end, end.rstrip("\n }") + before)) == [("error", "kv-order", f"{MAIN}.kv")]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_sentence_exists_in_both_languages(root: Path, tmp_path: Path, lang: str) -> None:
    path = write(root, tmp_path, ("pitot_coefficient: 0.84", ""), (KV, 'valid_from: "2026-03-01"'))
    problems = check_file(path, now=NOW, lang=lang).problems  # type: ignore[arg-type]
    assert {one.code for one in problems} == {"stack-pitot-missing", "kv-back-dated"}
    assert all(one.what and one.remedy for one in problems)


def test_what_is_derived_is_counted_against_the_quota(root: Path, tmp_path: Path) -> None:
    quota = ("quota_GB: 350", "quota_GB: 20")
    assert ("warning", "quota-short", "store.quota_GB") in codes(root, tmp_path, quota)
