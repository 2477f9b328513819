"""Why an act on the register is refused: the member of the request concerned, what is wrong, what to do instead.

Each refusal is one line `member: sentences`, in the language that the request names (`lang`), so that a page can show
it beside its field and a terminal as it is.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

from host.control import RequestError
from host.document import Document
from host.hjson import Strict, validate
from host.hjson_scan import Reader
from host.problems import ConfigErrors, Lang, Sentences

Asked = TypeVar("Asked", bound=Strict)
Request = Mapping[str, Any]
TEXT_MAX: Final = 200


@cache
def _sentences() -> Sentences:
    return Sentences("agent.gas", "refusals.toml")


def language_of(request: Request) -> Lang:
    """The language a request asks for; English where it names none."""
    return "zh" if request.get("lang") == "zh" else "en"


def refusal(request: Request, member: str, code: str, **values: object) -> RequestError:
    """A refusal that concerns a member of the request (dotted)."""
    return RequestError(_line(member, *_sentences().say(code, language_of(request), **values)))


def _line(member: str, what: str, remedy: str) -> str:
    return f"{member}: {what}{'' if what.endswith('。') else ' '}{remedy}"


def shape(kind: type[Asked], request: Request, member: str) -> Asked:
    """A block of a request by its shape. Raises RequestError with a line for each thing that is wrong in it."""
    block = request.get(member)
    reader = Reader(json.dumps(block if isinstance(block, Mapping) else {}))
    document = Document(member, reader.text, reader.read(), language_of(request))
    try:
        return validate(document, kind)
    except ConfigErrors as errors:
        told = [_line(".".join([member, *filter(None, [one.key])]), one.what, one.remedy) for one in errors.problems]
        raise RequestError("\n".join(dict.fromkeys(told))) from None


def said(request: Request, member: str) -> str:
    """A text a person must give. Raises RequestError."""
    value = request.get(member)
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
        raise refusal(request, member, "person", field=member)
    return value
