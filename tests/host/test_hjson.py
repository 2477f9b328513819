"""Configuration files read strictly: every problem has its exact place and a remedy."""

from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

import hjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from host.explain import nearest
from host.hjson import Strict, load, read
from host.hjson_scan import Reader
from host.problems import ConfigErrors, Lang, Problem, language, sentences
from host.secrets import SecretRef


class Serial(Strict):
    kind: Literal["serial"]
    device: str
    baud: int = Field(default=9600, ge=300)


class Tcp(Strict):
    kind: Literal["tcp"]
    host: str


class Site(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    wires: dict[str, Annotated[Serial | Tcp, Field(discriminator="kind")]] = Field(default={})
    rates: list[float] = Field(default=[])
    secret: SecretRef | None = None
    on: bool = False


def problems(tmp_path: Path, text: str | bytes, lang: Lang = "en") -> list[Problem]:
    path = tmp_path / "site.hjson"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigErrors) as caught:
        load(path, Site, lang)
    assert str(path) in str(caught.value)
    return caught.value.problems


def one(tmp_path: Path, text: str | bytes, lang: Lang = "en") -> Problem:
    found = problems(tmp_path, text, lang)
    assert len(found) == 1, found
    return found[0]


def test_a_good_file_becomes_its_model(tmp_path: Path) -> None:
    path = tmp_path / "site.hjson"
    path.write_text(
        '\ufeff# 注释\r\n{ name: "a" // first\r\n wires: { w: { kind: "serial", device: "/dev/x" } }\n'
        "rates: [1, 2.5, 1e3]\n on: true }\n",
        encoding="utf-8",
    )
    site = load(path, Site)
    assert (site.name, site.rates, site.on) == ("a", [1.0, 2.5, 1000.0], True)
    assert site.wires["w"].kind == "serial"


def test_a_file_without_outer_brackets_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "site.hjson"
    path.write_text('name: "a"\nrates: [\n  1\n  2\n]\n')
    assert load(path, Site).rates == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "line", "column", "code", "in_remedy"),
    [
        ('{ name: "a", nam: "b" }', 1, 14, "key-unknown-near", '"name"'),
        ('{ name: "a"\n  zzz: 1 }', 2, 3, "key-unknown", "wires"),
        ('{ name: "a"\n  on: "yes" }', 2, 7, "wrong-type", "true or false"),
        ('{ name: "a"\n  rates: [1, "2"] }', 2, 14, "wrong-type", "number"),
        ('{ name: "a"\n  rates: 3 }', 2, 10, "wrong-type", "list"),
        ('{ on: true }', 1, 1, "key-missing", "name: ..."),
        ('{ name: "A b" }', 1, 9, "wrong-form", "small letters"),
        ('{ name: "a", name: "b" }', 1, 14, "key-twice", "Keep one"),
        ('{ name: "a", wires: { w: { kind: "tpc", host: "h" } } }', 1, 34, "not-a-choice-near", '"tcp"'),
        ('{ name: "a", wires: { w: { host: "h" } } }', 1, 23, "key-missing", "kind: ..."),
        ('{ name: "a", wires: { w: { kind: "tcp", hosst: "h", host: "g" } } }', 1, 41, "key-unknown-near", '"host"'),
        ('{ name: "a", wires: { w: { kind: "serial", device: "d", baud: 9 } } }', 1, 63, "out-of-limits", ">= 300"),
        ('{ name: "a", secret: "hunter2" }', 1, 22, "secret-in-clear", "0600"),
        ('{ name: "a", secret: {} }', 1, 22, "secret-one", "file, credential"),
    ],
)  # fmt: skip
def test_each_wrong_key_or_value_has_its_place(
    tmp_path: Path, text: str, line: int, column: int, code: str, in_remedy: str
) -> None:
    found = one(tmp_path, text)
    assert (found.line, found.column, found.code) == (line, column, code)
    assert in_remedy in found.remedy


def test_a_secret_in_clear_is_not_printed(tmp_path: Path) -> None:
    assert "hunter2" not in str(one(tmp_path, '{ name: "a", secret: "hunter2" }'))


@pytest.mark.parametrize(
    ("text", "column"),
    [(r'{ name: "a\u0000b" }', 9), (r'{ "na\u0000me": "a" }', 3), (r'{ name: "a", rates: [1, "\ud800"] }', 25)],
)
def test_a_text_that_no_file_can_hold_is_refused(tmp_path: Path, text: str, column: int) -> None:
    """A path of it would end `check` with an error of Python's."""
    [found] = problems(tmp_path, text)
    assert (found.line, found.column, found.code) == (1, column, "text-unfit")


@pytest.mark.parametrize(
    ("text", "line", "column", "code"),
    [
        ('{\n  name: a, on: true\n}', 2, 9, "swallowed-key"),
        ('{\n  name: a // note\n}', 2, 9, "swallowed-comment"),
        ('{\n  name: a # note\n}', 2, 9, "swallowed-comment"),
        ('{\n  name: a,\n}', 2, 9, "swallowed-end"),
        ('{\n  name: "a"\n  rates: [x, y]\n}', 3, 11, "swallowed-end"),
        ('{ name: a }', 1, 9, "swallowed-end"),
    ],
)  # fmt: skip
def test_a_word_that_swallows_the_line_is_found(tmp_path: Path, text: str, line: int, column: int, code: str) -> None:
    found = problems(tmp_path, text)[0]
    assert (found.line, found.column, found.code) == (line, column, code)
    assert "Quote it" in found.remedy


def test_plain_unquoted_text_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "site.hjson"
    path.write_text("{\n  name: a\n  wires: {\n    w: {\n      kind: tcp\n      host: http://h/x\n    }\n  }\n}\n")
    assert load(path, Site).name == "a"


@pytest.mark.parametrize(
    ("text", "line", "column", "code"),
    [
        ('{ name: "a"\n  wires: {\n', 3, 1, "syntax-open"),
        ('{ name: "a\n" }', 1, 11, "syntax-control"),
        ('{ name: "a', 1, 9, "syntax-string"),
        ('{ name "a" }', 1, 3, "syntax-key"),
        ('{ name: }', 1, 9, "syntax-value"),
        ('{ na me: "a" }', 1, 5, "syntax-key-space"),
        ('{ name: "a" } }', 1, 15, "syntax-extra"),
        ('{ name: "a" /* open', 1, 13, "syntax-comment"),
        ('{ rates: [1', 1, 12, "syntax-open"),
        ('{ rates: [1e999] }', 1, 11, "syntax-number"),
        ("[1]", 1, 1, "syntax-key"),
        ('{ name: "a\\u-00f" }', 1, 11, "syntax-escape"),
    ],
)  # fmt: skip
def test_syntax_errors_have_their_place(tmp_path: Path, text: str, line: int, column: int, code: str) -> None:
    found = one(tmp_path, text)
    assert (found.line, found.column, found.code) == (line, column, code)


def test_several_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, '{ name: 1\n  on: 2\n  rates: 3\n  name: "b"\n}')
    assert [(one.line, one.column) for one in found] == [(1, 9), (2, 7), (3, 10), (4, 3)]


def test_columns_count_characters_not_bytes(tmp_path: Path) -> None:
    found = one(tmp_path, '{ name: "a", /* 站点 */ on: 1 }')
    assert found.column == 27


def test_bytes_that_are_not_utf8_have_their_place(tmp_path: Path) -> None:
    found = one(tmp_path, b'{ name: "a"\n  // ' + "点".encode("gbk") + b"\n}")
    assert (found.line, found.column, found.code) == (2, 6, "file-encoding")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.hjson", "file-missing"), (tmp_path, "file-folder")):
        with pytest.raises(ConfigErrors) as caught:
            load(path, Site)
        assert [(p.path, p.line, p.code) for p in caught.value.problems] == [(str(path), 1, code)]
    assert one(tmp_path, b" " * (4 * 1024 * 1024 + 1)).code == "file-large"
    assert one(tmp_path, "{a:" * 100_000).code == "file-deep"


def test_every_sentence_is_there_in_both_languages(tmp_path: Path) -> None:
    table = {code: row for code, row in sentences().table.items() if code != "words"}
    for code, row in table.items():
        assert {lang: len(row[lang]) for lang in ("en", "zh")} == {"en": 2, "zh": 2}, code
        fields = [{name for _, name, _, _ in Formatter().parse("".join(row[lang])) if name}
                  for lang in ("en", "zh")]  # fmt: skip
        assert fields[0] == fields[1], code
    assert "应为" in one(tmp_path, '{ name: "a", on: 1 }', "zh").what


def test_language_follows_the_locale() -> None:
    assert language({"LANG": "zh_CN.UTF-8"}) == "zh"
    assert language({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}) == "en"
    assert language({}) == "en"


def test_nearest_name() -> None:
    assert nearest("buad", ["baud", "parity"]) == "baud"
    assert nearest("xyz", ["baud"]) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_reads_what_the_library_writes_and_places_every_value(document: dict[str, object]) -> None:
    text = hjson.dumpsJSON(document, ensure_ascii=False, indent=1)
    root = Reader(text).read()
    assert root.plain() == document
    for key, (at, node) in root.value.items():
        assert text[at] == '"'
        assert hjson.loads(text[at : text.index(":", at + len(hjson.dumpsJSON(key, ensure_ascii=False)))]) == key
        if not isinstance(node.value, dict | list):
            assert text[node.start :].startswith(hjson.dumpsJSON(node.value, ensure_ascii=False))


@given(st.text(alphabet="{}[]:,\"'#/*\\ \nab1-.", max_size=60))
def test_any_text_is_a_document_or_a_list_of_problems(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.hjson"
    path.write_text(text)
    try:
        document, found = read(path)
    except ConfigErrors as errors:
        found = errors.problems
        assert found
    else:
        assert isinstance(document.root.plain(), dict)
    lines = text.split("\n")
    for problem in found:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
