"""`plumeline user` and `plumeline doctor --security` on the command line."""

import io
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.inspection.table import AREAS
from agent.store.held import held
from host.acts import WaitingActs
from host.problems import Sentences
from web.accounts import Accounts

PASSWORD = "a heron over the weir"


@pytest.fixture
def config(tmp_path: Path, root: Path) -> Path:
    """The stack's example, in a folder of its own."""
    (tmp_path / "store").mkdir(mode=0o750)
    text = (root / "config" / "stack.hjson").read_text(encoding="utf-8")
    text = text.replace("/var/lib/plumeline", str(tmp_path / "store"))
    path = tmp_path / "station.hjson"
    path.write_text(text.replace("/run/plumeline", str(tmp_path)), encoding="utf-8")
    path.chmod(0o640)
    tmp_path.chmod(0o750)
    return path


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`say(password, *words)`: run a command with a password on standard input."""

    def run(password: str, *words: str) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        return main(["--lang", "en", *words])

    return run


def store_of(config: Path) -> Path:
    from agent.config import Config
    from host.hjson import load

    return Path(load(str(config), Config, "en").store.path)


def test_accounts_by_the_command_line(config: Path, say: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(config)
    assert say(PASSWORD, "user", "add", file, "Li Wei", "--role", "admin") == 0
    assert say(PASSWORD, "user", "add", file, "Zhao Min", "--role", "qa") == 0
    accounts = Accounts(store_of(config))
    assert {name: one.role for name, one in accounts.all().items()} == {"Li Wei": "admin", "Zhao Min": "qa"}
    assert say("", "user", "role", file, "Zhao Min", "--role", "auditor") == 0
    assert say("", "user", "disable", file, "Zhao Min") == 0
    assert main(["user", "list", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"name": "Li Wei", "role": "admin", "disabled": False},
        {"name": "Zhao Min", "role": "auditor", "disabled": True},
    ]
    assert say("", "user", "enable", file, "Zhao Min") == 0
    assert say("seven otters at noon", "user", "password", file, "Zhao Min") == 0
    kept = WaitingActs(accounts.path.parent).read()
    assert [act["do"] for act in kept] == [
        "user add", "user add", "user role", "user disable", "user enable", "user password"
    ]  # fmt: skip
    assert all(act["uid"] == os.getuid() and act["who"] for act in kept)
    assert "otters" not in json.dumps(kept)


@pytest.mark.parametrize(
    ("words", "password", "told"),
    [
        (("add", "Li Wei", "--role", "qa"), PASSWORD, "already"),
        (("add", "New", "--role", "qa"), "short", "12 to 200"),
        (("add", "New", "--role", "qa"), "password123456", "Too many people"),
        (("disable", "Li Wei"), "", "last administrator"),
        (("role", "Li Wei", "--role", "qa"), "", "last administrator"),
        (("password", "nobody"), PASSWORD, "no account nobody"),
    ],
)
def test_what_is_refused_is_said(
    config: Path, say: Any, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], password: str, told: str
) -> None:
    assert say(PASSWORD, "user", "add", str(config), "Li Wei", "--role", "admin") == 0
    act, *rest = words
    assert say(password, "user", act, str(config), *rest) == 1
    assert told in capsys.readouterr().err


# -- doctor


def findings(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["--lang", "en", "doctor", str(config), "--security", "--json"])
    return code, json.loads(capsys.readouterr().out)


def weak(found: dict[str, Any]) -> set[str]:
    return {row["code"] for row in found["findings"] if row["state"] == "weak"}


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket that everybody may open."""
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(path))
        path.chmod(0o666)
        yield path


def test_the_doctor_names_what_is_weak(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], listening: Path
) -> None:
    text = config.read_text(encoding="utf-8")
    plain = tmp_path / "seed"
    plain.write_text("x")
    plain.chmod(0o644)
    changed = text.replace('key: { credential: "station-key" }', f'key: {{ file: "{plain}" }}', 1)
    assert changed != text
    changed = changed.rstrip().removesuffix("}") + '  page: { host: "0.0.0.0", port: 8000 }\n}\n'
    config.write_text(changed, encoding="utf-8")
    config.chmod(0o666)
    store_of(config).chmod(0o755)
    with held(store_of(config)):
        code, found = findings(config, capsys)
    assert code == 1
    assert weak(found) >= {
        "config-mode", "secret-open", "secret-file", "store-mode", "socket-mode", "accounts-none", "page-exposed",
    }  # fmt: skip
    assert ("runs-as-root" in weak(found)) == (os.geteuid() == 0)
    assert all(row["what"] and row["remedy"] for row in found["findings"])


def test_what_was_put_right_is_no_longer_named(
    config: Path, say: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, found = findings(config, capsys)
    assert not weak(found) & {"config-mode", "secret-open", "secret-file", "store-mode", "socket-mode", "page-exposed"}
    text = config.read_text(encoding="utf-8").rstrip().removesuffix("}")
    config.write_text(text + "  page: { port: 8000 }\n}\n", encoding="utf-8")
    assert say(PASSWORD, "user", "add", str(config), "Li Wei", "--role", "admin") == 0
    assert "accounts-one-admin" in weak(findings(config, capsys)[1])
    assert say(PASSWORD, "user", "add", str(config), "Zhao Min", "--role", "admin") == 0
    (store_of(config) / "page-password").write_text("scrypt$...")
    assert "accounts-former" in weak(findings(config, capsys)[1])
    (store_of(config) / "page-password").unlink()
    assert not {code for code in weak(findings(config, capsys)[1]) if code.startswith("accounts")}


def test_who_owns_or_may_write_what_the_station_lives_on_is_named(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = tmp_path / "secrets" / "seed"
    seed.parent.mkdir(mode=0o700)
    seed.write_text("x")
    seed.chmod(0o600)
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('key: { credential: "station-key" }', f'key: {{ file: "{seed}" }}', 1), "utf-8")
    segments = store_of(config) / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    (segments / "log-0001-000000000000.db").touch()
    for path in (store_of(config), segments):
        path.chmod(0o750)
    (segments / "log-0001-000000000000.db").chmod(0o640)
    keys = config.with_name("update.vkey")
    keys.touch(0o644)
    mine = {"owner-other", "secret-folder", "store-writable", "update-keys-mode"}
    assert not weak(findings(config, capsys)[1]) & mine
    seed.parent.chmod(0o770)
    (segments / "log-0001-000000000000.db").chmod(0o660)
    keys.chmod(0o664)
    found = findings(config, capsys)[1]
    assert weak(found) & mine == {"secret-folder", "store-writable", "update-keys-mode"}
    assert any("log-0001-000000000000.db" in row["what"] for row in found["findings"])
    if os.geteuid() == 0:
        os.chown(config, 65534, 65534)
        [told] = [row for row in findings(config, capsys)[1]["findings"] if row["code"] == "owner-other"]
        assert "nobody" in told["what"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_may_not_enter_the_store_is_told_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.read_text(encoding="utf-8").rstrip().removesuffix("}")
    config.write_text(text + "  page: { port: 8000 }\n}\n", encoding="utf-8")
    findings(config, capsys)  # everything it needs is loaded by now
    store_of(config).mkdir(parents=True, exist_ok=True)
    (store_of(config) / "lock").touch()
    (store_of(config) / "page-accounts.json").write_text("{}")
    (store_of(config) / "page-accounts.json").chmod(0o600)
    for folder in (config.parent, *config.parent.parents):
        if folder.stat().st_uid == 0 and folder.parts[:2] == ("/", "tmp") and len(folder.parts) > 2:
            folder.chmod(0o755)
    for mode in (0o755, 0o700):
        store_of(config).chmod(mode)
        os.seteuid(65534)
        try:
            if not os.access(config, os.R_OK, effective_ids=True):
                pytest.skip("the folder of the tests is closed to others")
            _, found = findings(config, capsys)
        finally:
            os.seteuid(0)
        assert "accounts-damaged" not in weak(found)
        assert "accounts-unseen" in {row["code"] for row in found["findings"]}


def test_a_damaged_file_of_accounts_is_not_told_as_none(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.read_text(encoding="utf-8").rstrip().removesuffix("}")
    config.write_text(text + "  page: { port: 8000 }\n}\n", encoding="utf-8")
    store_of(config).mkdir(parents=True, exist_ok=True)
    for damaged in ("{", "[]", '{"accounts": 3}', '{"accounts": [{"role": "admin"}]}'):
        (store_of(config) / "page-accounts.json").write_text(damaged)
        codes = {code for code in weak(findings(config, capsys)[1]) if code.startswith("accounts")}
        assert codes == {"accounts-damaged"}


def test_a_core_dump_that_may_happen_is_weak(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import resource

    store_of(config).mkdir(exist_ok=True)
    with held(store_of(config)):
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        for limit, expected in ((0, False), (hard, hard != 0)):
            resource.setrlimit(resource.RLIMIT_CORE, (limit, hard))
            assert ("core-dumps" in weak(findings(config, capsys)[1])) == expected
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_the_doctor_speaks_both_languages_and_every_look_has_its_sentences(
    config: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert main(["--lang", "zh", "doctor", str(config)]) in (0, 1)
    assert "检查" in capsys.readouterr().out
    table = Sentences("agent.inspection", "sentences.toml").table
    text = "".join(path.read_text(encoding="utf-8") for path in (root / "agent" / "inspection").glob("*.py"))
    written = set(re.findall(r'Finding\(\s*"([a-z0-9-]+)"', text)) | {"driver-foreign", "driver-foreign-used"}
    assert written == set(table) - {"words"}
    assert all(set(row) == {"en", "zh"} for name, row in table.items() if name != "words")
    assert len(AREAS["security"]) >= 12


def test_a_configuration_that_cannot_be_read_is_a_wrong_call(tmp_path: Path) -> None:
    assert main(["doctor", str(tmp_path / "none.hjson"), "--security"]) == 2
