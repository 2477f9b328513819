"""Who the broker of the example lets in, and what the station says of each refusal: a real mosquitto, real TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.centres import EnrollingCentre

from agent.uplinks.mqtt_link import DeniedError, Link, LinkError, Target, link_of
from central.__main__ import main
from central.ca import create
from central.ca_cli import authority_of
from central.config import SUBSCRIBER
from host.tls import ClientContext, explained

OWN = "plumeline/v1/n/tower-01/up/state"


@pytest.fixture
def centre(tmp_path: Path, root: Path) -> Iterator[EnrollingCentre]:
    made = EnrollingCentre(tmp_path, root)
    yield made
    made.end()


@pytest.fixture
def broker(centre: EnrollingCentre, broker_with: Callable[[str], Any]) -> Any:
    return centre.broker(broker_with)


@pytest.fixture
def shown(centre: EnrollingCentre, tmp_path: Path) -> Callable[..., ClientContext]:
    """`shown(name, days, authority)`: TLS of a client with such a certificate."""

    def make(name: str = "tower-01", days: float = 90, authority: Any = None, ca: Path | None = None) -> ClientContext:
        folder = tmp_path / f"{name}-{days}-{authority is None}"
        folder.mkdir(exist_ok=True)
        signing = authority or authority_of(centre.block)
        now = datetime.now(UTC) if days > 0 else datetime.now(UTC) + timedelta(days=days - 1)
        # Made two days ago where it shall have ended yesterday: `own_files` gives a year.
        files = folder / "c.key", folder / "c.pem"
        signing.own_files(folder, "c", (), now, name) if days > 0 else _ended(signing, folder, name, now)
        return ClientContext(ca or Path(centre.block.folder) / "ca.pem", files[1], files[0])

    return make


def _ended(signing: Any, folder: Path, name: str, now: datetime) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    signing.own_files(folder, "c", (), now, name)
    key: Any = load_pem_private_key((folder / "c.key").read_bytes(), None)
    made = signing.station(name, key.public_key(), 1, now)
    (folder / "c.pem").write_bytes(made.public_bytes(Encoding.PEM))


def target(broker: Any, tls: ssl.SSLContext | None, station: str = "tower-01", host: str = "localhost") -> Target:
    return Target(host, broker.port, station, f"plumeline/v1/n/{station}/up/state", b"{}", 10, tls=tls)


async def said(one: Target) -> str:
    """What a link says of a connection that is refused."""
    with pytest.raises(LinkError) as caught:
        async with asyncio.timeout(10), link_of(one):
            pass
    return str(caught.value)


async def outcome(one: Target) -> str:
    """What a link says of a connection, '' where it stands."""
    try:
        async with link_of(one):
            return ""
    except LinkError as error:
        return str(error)


async def heard(link: Link) -> tuple[str, bytes]:
    async with asyncio.timeout(5):
        async for message in link.messages():
            return message
    raise AssertionError("nothing came")


async def test_a_station_is_let_in_and_writes_under_its_own_name_alone(broker: Any, shown: Any) -> None:
    async with (
        link_of(target(broker, shown(SUBSCRIBER), SUBSCRIBER)) as centre,
        link_of(target(broker, shown())) as own,
        link_of(target(broker, shown("tower-02"), "tower-02")) as other,
    ):
        await centre.subscribe("plumeline/v1/+/+/up/#")
        await other.subscribe("plumeline/v1/n/tower-01/down/ack")
        await own.subscribe("plumeline/v1/n/tower-01/down/ack")
        for denied in (OWN, "plumeline/v1/n/tower-02/down/ack"):
            with pytest.raises(DeniedError, match="our certificate is of tower-02, and a station writes below its own"):
                await other.publish(denied, b"forged")
        await own.publish(OWN, b"true")
        assert await heard(centre) == (OWN, b"true")
        await centre.publish("plumeline/v1/n/tower-01/down/ack", b"for 1")
        assert await heard(own) == ("plumeline/v1/n/tower-01/down/ack", b"for 1")
        # What the other asked for came first to it, had it been let: it hears its own only.
        await other.subscribe("plumeline/v1/n/tower-02/down/ack")
        await centre.publish("plumeline/v1/n/tower-02/down/ack", b"for 2")
        assert await heard(other) == ("plumeline/v1/n/tower-02/down/ack", b"for 2")


async def test_nobody_throws_out_another_by_calling_itself_so(broker: Any, shown: Any) -> None:
    async with link_of(target(broker, shown(SUBSCRIBER), SUBSCRIBER)) as centre:
        await centre.subscribe("plumeline/v1/+/+/up/#")
        thief = Target("localhost", broker.port, SUBSCRIBER, OWN, b"", 10, tls=shown())
        async with link_of(thief) as link:
            await link.publish(OWN, b"true")
            assert await heard(centre) == (OWN, b"true")


async def test_who_is_not_in_order_is_refused_and_told_what_to_do(broker: Any, shown: Any, tmp_path: Path) -> None:
    foreign = create(tmp_path / "foreign", "another centre", None, datetime.now(UTC))
    ours = {
        "expired": (shown(days=-1), "our certificate tower-01 has expired: enrol the station anew"),
        "of another centre": (shown("tower-02", authority=foreign), "does not know the authority of our certificate"),
        "believing another": (shown("x", ca=tmp_path / "foreign" / "ca.pem"), "not of the authority in ca"),
    }
    for what, (tls, sentence) in ours.items():
        assert sentence in await said(target(broker, tls)), what
    bare = ssl.create_default_context(cafile=tmp_path / "authority" / "ca.pem")
    with (
        socket.create_connection(("127.0.0.1", broker.port), timeout=5) as line,
        bare.wrap_socket(line, server_hostname="localhost") as secure,
        pytest.raises(ssl.SSLError) as refused,
    ):
        secure.recv(1)
    assert "got none it can take" in explained(refused.value), "none"
    assert await said(target(broker, None)), "no TLS"


async def test_a_broker_that_is_not_in_order_is_not_believed(
    centre: EnrollingCentre, broker_with: Callable[[str], Any], shown: Any
) -> None:
    now = datetime.now(UTC)
    for names, made, sentence in (
        (["broker.example.org"], now, "is made out to another name: write the host as its certificate has it"),
        (["localhost"], now - timedelta(days=400), "has expired: have it renewed there (plumeline-central ca renew)"),
        (["localhost"], now + timedelta(days=2), "is not valid yet: set this machine's clock"),
    ):
        authority_of(centre.block).own_files(centre.folder / "authority" / "broker", "broker", names, made)
        assert sentence in await said(target(centre.broker(broker_with), shown()))


async def test_a_clock_that_stands_in_1970_keeps_nobody_out_but_an_old_certificate(
    centre: EnrollingCentre, broker_with: Callable[[str], Any], shown: Any
) -> None:
    own = shown()
    early = ClientContext(Path(centre.block.folder) / "ca.pem", *own.files, now=lambda: 100.0)
    assert early.clock_behind
    async with link_of(target(centre.broker(broker_with), early)) as link:
        await link.publish(OWN, b"true")
    old = datetime.now(UTC) - timedelta(days=400)
    authority_of(centre.block).own_files(centre.folder / "authority" / "broker", "broker", ["localhost"], old)
    assert "expired before ours was issued" in await said(target(centre.broker(broker_with), early))


async def test_old_tls_is_not_spoken_by_either_side(broker: Any, shown: Any) -> None:
    old = shown()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert "does not speak TLS 1.2 or newer" in await said(target(broker, old))


async def test_who_is_revoked_is_refused_once_the_broker_has_read_the_list(
    broker: Any, shown: Any, centre: EnrollingCentre, tmp_path: Path
) -> None:
    from agent.enrol import enrol, new_key, new_seed
    from protocols.tlog import signer_from_seed

    key = new_key()
    signer = signer_from_seed(new_seed().decode(), "plumeline/tower-01")
    granted = enrol(centre.address, centre.fingerprint, centre.code(), ("tower-01", "n"), signer, key, "")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "c.pem").write_text(granted.answer.certificate)
    tls = ClientContext(Path(centre.block.folder) / "ca.pem", tmp_path / "c.pem", tmp_path / "key.pem")
    async with link_of(target(broker, tls)) as link:
        await link.publish(OWN, b"true")
    words = ["--station", "tower-01", "--who", "Li Wei", "--reason", "stolen", "--json"]
    assert main(["revoke", str(centre.file), *words]) == 0
    assert [one["reason"] for one in centre.events("certificate-revoked")] == ["stolen"]
    broker.reload()
    async with asyncio.timeout(10):
        while await outcome(target(broker, tls)) == "":
            pass  # the broker reads its files when it comes to it
    assert "is revoked: enrol the station anew" in await said(target(broker, tls))
    # Whoever is not on the list goes on.
    async with link_of(target(broker, shown("tower-02"), "tower-02")) as link:
        await link.publish("plumeline/v1/n/tower-02/up/state", b"true")
