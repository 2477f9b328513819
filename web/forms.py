"""Forms that people send."""

from typing import Final

from starlette.requests import Request

FORM_BYTES_MAX: Final = 4096


async def form_of(request: Request) -> dict[str, str]:
    """Text fields of a small form; a larger body than FORM_BYTES_MAX, or one of unstated length, is read as empty."""
    if int(request.headers.get("content-length", FORM_BYTES_MAX + 1)) > FORM_BYTES_MAX:
        return {}
    async with request.form() as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}
