"""From when on an uplink that is new to a station sends."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def _since(text: str) -> str:
    if text in ("beginning", "now"):
        return text
    try:
        if datetime.fromisoformat(text).tzinfo is not None:
            return text
    except ValueError:
        pass
    raise PydanticCustomError("since", "not beginning, now, or a time with its zone")


Since = Annotated[str, AfterValidator(_since)]
