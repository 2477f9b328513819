"""`plumeline hj212 decode`, `encode`, `explain`: what a technician sees, and what a program reads."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from protocols.hj212 import Message, Profile, encode
from protocols.hj212.crc import crc16
from protocols.hj212.decoder import Decoder

KEY = "30303030303030303030303030303030"
MN = "010000A8900016F000169DC0"
CONTRACT = {"ok", "raw", "offset", "reason", "fields", "cp", "deviations"}
AREA = ((("DataTime", "20240520210600"),), (("a01011-Avg", "1.35"), ("a01011-Flag", "N")))


def run(*line: str, data: bytes = b"", lang: str = "en", code: int = 0) -> bytes:
    """What a command prints, on standard error where that is all there is; its exit code checked."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = main(["--lang", lang, "hj212", *line])
    except SystemExit as error:
        ended = int(error.code or 0)
    finally:
        sys.stdin = before
    printed, complaint = (stream.buffer.getvalue() for stream in (out, err))
    assert ended == code, (printed, complaint)
    return bytes(printed or complaint)


def told(*line: str, data: bytes = b"", code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(row) for row in run("decode", "--json", *line, data=data, code=code).splitlines()]


def upload(flag: int = 5, **more: Any) -> Message:
    return Message("20240520210700000", "31", "2051", "123456", MN, flag, AREA, **more)


def frame(segment: bytes, crc: bytes | None = None) -> bytes:
    return b"##%04d%b%b\r\n" % (len(segment), segment, crc or b"%04X" % crc16(segment))


def test_decode_tells_frames_and_errors_in_the_order_of_the_file(tmp_path: Path) -> None:
    good, bad = encode(upload()), encode(upload()).replace(b"1.35", b"1.36")
    file = tmp_path / "frames"
    file.write_bytes(b"08:15 received " + good + bad + good)
    rows = told("--profile", "strict-2017", str(file), code=1)
    assert [(row["ok"], row["reason"]) for row in rows] == [
        (False, "header"),
        (True, None),
        (False, "crc"),
        (True, None),
    ]
    assert all(row.keys() >= CONTRACT for row in rows)
    assert [row["offset"] for row in rows] == [0, 15, 15 + len(good), 15 + 2 * len(good)]
    assert [row["raw"].encode("latin-1") for row in rows[1:]] == [good, bad, good]
    assert rows[1]["fields"] | {"CN": "2051", "PW": "123456", "Flag": "5"} == rows[1]["fields"]
    assert rows[1]["cp"] == [[["DataTime", "20240520210600"]], [["a01011-Avg", "1.35"], ["a01011-Flag", "N"]]]
    assert (rows[2]["fields"], rows[2]["cp"], rows[2]["deviations"]) == ({}, [], [])


def test_decode_ends_with_0_where_all_was_taken_and_2_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert len(told(data=encode(upload()) * 3)) == 3
    run("decode", str(tmp_path / "none"), code=2)
    run("decode", "--profile", "strict-2011", code=2)


@pytest.mark.parametrize(("profile", "ok"), [("strict-2005", 0), ("strict-2017", 1), ("strict-2025", 2)])
def test_a_strict_profile_takes_the_frames_of_its_edition_alone(profile: str, ok: int) -> None:
    area = b"CP=&&DataTime=20240520210600;a01011-Avg=1.35,a01011-Flag=N&&"
    head = b"QN=20240520210700000;ST=31;CN=2051;PW=123456;MN=%b;Flag=%b;"
    frames = [
        frame(head % (mn, flag) + area)
        for mn, flag in ((b"GHG20260100001", b"1"), (MN.encode(), b"5"), (MN.encode(), b"9"))
    ]
    rows = told("--profile", profile, data=b"".join(frames), code=1)
    assert [row["ok"] for row in rows] == [number == ok for number in range(3)]
    assert {row["reason"] for row in rows if not row["ok"]} <= {"version", "segment", "header"}


def test_meanings_come_in_both_languages() -> None:
    [row] = told(data=encode(upload()))
    means = {(one["kind"], one["code"]): one for one in row["meanings"]}
    assert means["command", "2051"]["en"] == "Minute data"
    assert means["command", "2051"]["zh"] == "上传污染物分钟数据"
    assert means["pollutant", "a01011"]["unit"] == "m/s"
    assert means["flag", "N"]["zh"] == "仪器仪表工作正常"
    assert {"system_type", "field"} <= {kind for kind, _ in means}
    assert (row["edition"], row["direction"], row["findings"]) == (2017, "to_platform", [])


def test_departures_are_named_and_a_wrong_data_area_is_found() -> None:
    segment = b"QN=20240520210700000;ST=31;CN=1062;PW=123456;MN=%b;Flag=5;CP=&&RtdInterval=5;&&" % MN.encode()
    [row] = told(data=frame(segment))
    assert row["deviations"] == ["trailing_semicolon"]
    assert [one["code"] for one in row["meanings"] if one["kind"] == "leniency"] == ["trailing_semicolon"]
    assert "RtdInterval" in row["findings"][0]
    text = run("decode", data=frame(segment)).decode()
    assert "! trailing_semicolon" in text
    assert "? field RtdInterval" in text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_a_technician_reads_shows_no_password(lang: str) -> None:
    change = Message("20240520210700000", "31", "1072", "oldpw1", MN, 5, ((("NewPW", "newpw2"),),))
    bad = encode(change).replace(b"CN=1072", b"CN=1073")
    text = run("decode", data=encode(change) + bad, lang=lang, code=1).decode()
    assert "1072" in text
    assert {word for word in ("oldpw1", "newpw2") if word in text} == set()
    assert ("设置" in text) == (lang == "zh")


def test_lines_of_a_text_file_are_frames_whose_end_is_put_back(tmp_path: Path) -> None:
    line = encode(upload()).rstrip()
    file = tmp_path / "log"
    file.write_bytes(b"# from a station\n\n2024-05-20 21:07:00 recv " + line + b"\n" + line)
    rows = told("--lines", "--profile", "strict-2017", str(file))
    assert [row["ok"] for row in rows] == [True, True]
    assert [row["offset"] for row in rows] == [file.read_bytes().find(b"##"), file.read_bytes().rfind(b"##")]
    assert [row["reason"] for row in told("--profile", "strict-2017", str(file), code=1) if row["ok"]] == []


def test_a_key_opens_what_is_encrypted() -> None:
    data = encode(upload(flag=9), bytes.fromhex(KEY))
    [row] = told("--key", KEY, "--profile", "strict-2025", data=data)
    assert row["cp"][1][0] == ["a01011-Avg", "1.35"]
    [refused] = told("--profile", "strict-2025", data=data, code=1)
    assert (refused["ok"], refused["reason"]) == (False, "crc")
    assert "--key" in refused["notes"][0]["en"]
    run("decode", "--key", "12", code=2)


def test_cipher_bytes_printed_in_a_text_are_opened_too() -> None:
    data = encode(upload(flag=9), bytes.fromhex(KEY))
    head, _, rest = data.partition(b"CP=&&")
    area = rest[: -len(b"&&0000\r\n")]
    printed = head + b"CP=&&" + area.hex().upper().encode() + b"&&" + rest[-len(b"0000\r\n") :]
    [row] = told("--key", KEY, data=printed)
    assert row["cp"][1][0] == ["a01011-Avg", "1.35"]
    assert row["deviations"] == ["printed_ciphertext"]
    assert [note["en"] for note in row["notes"]] == ["the data area came encrypted"]


def secret(folder: Path) -> str:
    file = folder / "pw"
    file.write_text("123456\n")
    file.chmod(0o600)
    return str(file)


def test_encode_writes_what_decode_reads(tmp_path: Path) -> None:
    who = ["--mn", MN, "--pw-file", secret(tmp_path), "--qn", "20240520210700000"]
    data = run("encode", "2051", "a01011-Avg=1.35", "a01011-Flag=N", "DataTime=20240520210600", *who)
    assert data == encode(upload())
    request = run("encode", "2051", "BeginTime=20240520210600", "EndTime=20240520210600", "--edition", "2025", *who)
    [one] = Decoder(Profile.strict(2025)).feed(request)
    assert one.raw == request
    assert b"Flag=9;CP=&&BeginTime=20240520210600;EndTime" in request
    printed = run("encode", "1061", "--hex", *who)
    assert Decoder().feed(bytes.fromhex(printed.decode()))[0].raw.startswith(b"##0087")


def test_what_decode_prints_is_written_again() -> None:
    parts = [encode(upload(flag=7, pnum=2, pno=number)) for number in (1, 2)]
    frames = b"".join([*parts, encode(upload(flag=9, resent=True))])
    printed = run("decode", "--json", data=frames)
    assert run("encode", "--from", "-", data=printed) == frames
    refused = run("decode", "--json", data=b"rubbish" + frames, code=1)
    assert b"header" in run("encode", "--from", "-", data=refused.splitlines()[0], code=1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["1062"], "field RtdInterval is missing"),
        (["1062", "RtdInterval=5"], "from 30 to 3600"),
        (["1062", "RtdInterval"], "NAME=VALUE"),
        (["4711"], "2051"),
        ([], "1062 RtdInterval=30"),
    ],
)
def test_encode_says_what_to_write_instead(tmp_path: Path, line: list[str], words: str) -> None:
    assert words in run("encode", *line, "--mn", MN, "--pw-file", secret(tmp_path), code=2).decode()


def test_encode_refuses_an_open_password_file(tmp_path: Path) -> None:
    file = Path(secret(tmp_path))
    file.chmod(0o644)
    assert "0600" in run("encode", "1061", "--mn", MN, "--pw-file", str(file), code=2).decode()


def test_explain_tells_a_code_or_the_nearest() -> None:
    text = run("explain", "a05001").decode()
    assert "Carbon dioxide" in text
    assert "二氧化碳" in text
    rows = json.loads(run("explain", "1001", "--edition", "2025", "--json"))
    assert [row["name_zh"] for row in rows] == ["上传数采仪硬件序号"]
    assert "2051" in run("explain", "2O51", code=1).decode()


def test_simulated_values_go_to_no_other_machine_unasked(tmp_path: Path) -> None:
    line = ["station", "--host", "192.0.2.1", "--port", "9", "--mn", MN, "--pw-file", secret(tmp_path)]
    assert "--i-know-it-is-not-measured" in run(*line, code=2).decode()


def test_a_platform_for_anybody_says_so_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    run("platform", "--port", "0", code=2)
    command = [sys.executable, "-m", "agent", "--lang", "en", "hj212", "platform", "--port", "0", "--any", "--json"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = json.loads(process.stdout.readline())["port"]
        assert json.loads(process.stdout.readline())["event"] == "any"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
            wire.sendall(encode(upload(flag=9)))
            answer = wire.recv(1000)
            [reply] = Decoder(Profile.strict(2025)).feed(answer)
            assert b"CN=9014" in reply.raw
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


def test_decode_of_an_endless_stream_says_a_frame_when_it_has_come() -> None:
    command = [sys.executable, "-m", "agent", "hj212", "decode", "--json"]
    environ = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(2):
            process.stdin.write(encode(upload()))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["ok"]
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_platform_that_cannot_write_an_upload_down_ends_without_acknowledging_it() -> None:
    line = ["platform", "--port", "0", "--any", "--json", "--out", "/dev/full"]
    command = [sys.executable, "-m", "agent", "--lang", "en", "hj212", *line]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        port = json.loads(process.stdout.readline())["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
            wire.sendall(encode(upload(flag=9)))
            assert wire.recv(1000) == b""
        _, complaint = process.communicate(timeout=30)
        assert process.returncode == 1
        assert b"No space left" in complaint


def test_a_checkpoint_in_a_log_line_is_read() -> None:
    line = (
        "//TLOG1 example.com/station/A0001 8 XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz-Nw7_RgQyg "
        "A0WpfbVjERYp1N5I-UVMaIRUXKthnjb37yOXKR1vbMVUSOsm7saaewgxHRzjRhdz_fTStzkWWoa5Pxx8r8aBcUd4_w8//"
    )
    message = Message("20240520210700000", "31", "3020", "123456", MN, 5,
                      ((("DataTime", "20240520210700"),), (("i21001-Info", line),)))  # fmt: skip
    [row] = told(data=encode(message))
    assert [one["en"] for one in row["meanings"] if one["kind"] == "checkpoint"] == [
        "signed checkpoint: the first 8 records of example.com/station/A0001, root 5dc9da79a70659a9..., key 0345a97d"
    ]
    assert "signed checkpoint" in run("decode", data=encode(message)).decode()
    assert "签名检查点" in run("decode", data=encode(message), lang="zh").decode()


def test_explain_tells_what_our_own_mark_in_the_log_line_is() -> None:
    assert "signed checkpoint" in run("explain", "TLOG1").decode()
    assert "签名检查点" in run("explain", "//TLOG1 plumeline/tower-01/1 8 AAAA AAAA//", lang="zh").decode()
    [row] = json.loads(run("explain", "TLOG1", "--json"))
    assert (row["kind"], row["source"]) == ("info", "docs/ledger.md")
