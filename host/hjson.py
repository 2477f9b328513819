"""HJSON files read strictly, with the line and column of every key and value.

Syntax: hjson.github.io/syntax.html. Stricter than it: a key given twice and a word that swallows more than was meant
are errors.
"""

import re
from pathlib import Path
from typing import Any, Final, TypeVar

from hjson import HjsonDecodeError
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticKnownError

from host.document import Document, line_and_column
from host.hjson_scan import Node, Reader, swallowed
from host.problems import ConfigErrors, Lang, Problem, sentences, shown

BYTES_MAX: Final = 4 * 1024 * 1024
Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Base of configuration models: unknown keys and wrong types are refused; a loaded configuration never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise PydanticKnownError("int_type")
    return value


# Beside a choice among whole numbers: to Python true is 1, and so is 1.0, and the choice alone would take either.
WHOLE: Final = BeforeValidator(_whole)


# How the library's messages begin, and the sentence we say instead.
_SYNTAX: Final = (
    ("Unterminated string", "syntax-string"),
    ("Unterminated comment", "syntax-comment"),
    ("Bad multiline string", "syntax-string"),
    ("Found a punctuator", "syntax-value"),
    ("Expecting value", "syntax-value"),
    ("Bad key name (eof)", "syntax-open"),
    ("End of input", "syntax-open"),
    ("Found whitespace in your key", "syntax-key-space"),
    ("Found", "syntax-key"),
    ("Expecting ':'", "syntax-colon"),
    ("Extra data", "syntax-extra"),
    ("Invalid control", "syntax-control"),
    ("Invalid", "syntax-escape"),
    ("Number too large", "syntax-number"),
)


def _syntax_problem(error: HjsonDecodeError, reader: Reader, path: str, lang: Lang) -> Problem:
    code = next(code for start, code in _SYNTAX if error.msg.startswith(start))
    if error.pos >= len(reader.text.rstrip()) and reader.opened and code != "syntax-control":
        code = "syntax-open"
    # The library places a sign that may not stand in quotes one too far.
    line, column = line_and_column(reader.text, error.pos - (code == "syntax-control"))
    opened = line_and_column(reader.text, reader.opened[-1])[0] if reader.opened else 1
    found = shown(reader.text[error.pos : error.pos + 1])
    said = sentences().say(code, lang, opened=opened, found=found)
    return Problem(path, line, column, "error", code, "", *said)


def _file_problem(path: str, code: str, lang: Lang, line: int = 1, column: int = 1, **values: Any) -> ConfigErrors:
    said = sentences().say(code, lang, path=path, **values)
    return ConfigErrors([Problem(path, line, column, "error", code, "", *said)])


def _bytes(path: str, lang: Lang) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise _file_problem(path, "file-missing", lang) from None
    except IsADirectoryError:
        raise _file_problem(path, "file-folder", lang) from None
    except OSError as error:
        raise _file_problem(path, "file-unreadable", lang, reason=error.strerror) from None


def _text(path: str, data: bytes, lang: Lang) -> str:
    if len(data) > BYTES_MAX:
        raise _file_problem(path, "file-large", lang, limit=BYTES_MAX)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = line_and_column(before := data[: error.start].decode("utf-8-sig"), len(before))
        raise _file_problem(path, "file-encoding", lang, *place, byte=f"0x{data[error.start]:02X}") from None


def read(path: str | Path, lang: Lang = "en") -> tuple[Document, list[Problem]]:
    """Parse a file; the problems (keys given twice) do not stop its model from being checked as well.

    Raises ConfigErrors where the file cannot be read or parsed, or where an unquoted word swallowed part of its line:
    whatever else such a file says is not what was meant.
    """
    name = str(path)
    return parsed(name, _bytes(name, lang), lang)


def parsed(name: str, data: bytes, lang: Lang = "en") -> tuple[Document, list[Problem]]:
    """`read` for the bytes of the file `name`, which is not looked at. Raises ConfigErrors as it does."""
    reader = Reader(_text(name, data, lang))
    document = Document(name, reader.text, Node({}, 0), lang)
    failed: list[Problem] = []
    try:
        document = Document(name, reader.text, reader.read(), lang)
    except HjsonDecodeError as error:
        failed = [_syntax_problem(error, reader, name, lang)]
    except RecursionError:
        raise _file_problem(name, "file-deep", lang) from None
    failed = [*_swallow_problems(document, reader.words), *_unfit_problems(document), *failed]
    if failed:
        raise ConfigErrors(failed)
    return document, [_repeat_problem(document, at, first) for at, first in reader.repeated]


def _swallow_problems(document: Document, words: list[tuple[int, str]]) -> list[Problem]:
    found = []
    for at, word in words:
        if code := swallowed(word):
            kept = re.split(r"[,#}\]]|\s//|\s/\*", word)[0].strip()
            said = sentences().say(code, document.lang, word=shown(word), kept=shown(kept))
            place = line_and_column(document.text, at)
            found.append(Problem(document.path, *place, "error", code, "", *said))
    return sorted(found)


def _unfit_problems(document: Document) -> list[Problem]:
    # Only a zero itself or an escape makes such a text: what is decoded from UTF-8 holds no half of a pair.
    if "\x00" not in document.text and "\\u" not in document.text:
        return []
    said = sentences().say("text-unfit", document.lang)
    places = (line_and_column(document.text, at) for at in document.root.unfit())
    return [Problem(document.path, *place, "error", "text-unfit", "", *said) for place in places]


def _repeat_problem(document: Document, at: int, first: int) -> Problem:
    said = sentences().say("key-twice", document.lang, first=line_and_column(document.text, first)[0])
    return Problem(document.path, *line_and_column(document.text, at), "error", "key-twice", "", *said)


def validate(document: Document, model: type[Model]) -> Model:
    """Make the model of a parsed file. Raises ConfigErrors with one problem per wrong key or value."""
    try:
        return model.model_validate(document.root.plain())
    except ValidationError as error:
        # A station whose configuration is right never explains one.
        from host.explain import explain

        raise ConfigErrors(sorted(explain(document, model, error))) from None


def load(path: str | Path, model: type[Model], lang: Lang = "en") -> Model:
    """Read a file and make its model. Raises ConfigErrors with every problem found."""
    return fitted(*read(path, lang), model)


def fitted(document: Document, problems: list[Problem], model: type[Model]) -> Model:
    """Make the model of a parsed file that has these problems. Raises ConfigErrors with them and every other found."""
    try:
        loaded = validate(document, model)
    except ConfigErrors as errors:
        if not problems:
            raise
        raise ConfigErrors(sorted(problems + errors.problems)) from None
    if problems:
        raise ConfigErrors(problems)
    return loaded
