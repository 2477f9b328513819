"""TLS of an uplink to a centre of ours."""

from typing import Annotated

from pydantic import Field

from host.shapes import Tls


class StationTls(Tls):
    """As any, and the centre's enrolment (https://HOST:PORT), where the certificate is renewed before it ends."""

    renew: Annotated[str, Field(pattern=r"^https://[^/ ]+$")] | None = None
