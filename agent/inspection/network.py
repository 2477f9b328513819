"""What passes a network in clear, and who out there may give orders."""

import ssl
from collections.abc import Iterator

from agent.config import MqttUplink
from agent.config_hj212 import Hj212Uplink
from agent.config_wires import MqttWire
from agent.inspection.finding import Finding, Subject
from host.address import is_loopback


def mqtt(subject: Subject) -> Iterator[Finding]:
    """Records and their acknowledgements beyond this machine without TLS."""
    for name, uplink in subject.config.uplinks.items():
        if isinstance(uplink, MqttUplink):
            for broker in uplink.addresses:
                if broker.tls is None and not is_loopback(broker.host):
                    yield Finding("mqtt-clear", {"name": name, "host": broker.host})
    for name, bus in subject.config.buses.items():
        wire = bus.wire
        if isinstance(wire, MqttWire) and wire.ca is None and wire.password and not is_loopback(wire.host):
            yield Finding("wire-password-clear", {"name": name, "host": wire.host})


def page(subject: Subject) -> Iterator[Finding]:
    """Passwords of people beyond this machine."""
    found = subject.config.page
    if found is not None and found.exposed:
        yield Finding("page-exposed", {"host": found.host})
    elif found is not None and found.behind_proxy and found.tls is None and not is_loopback(found.host):
        yield Finding("page-proxy-clear", {"host": found.host})


def hj212(subject: Subject) -> Iterator[Finding]:
    """What a platform, or whoever sits on its line, may order."""
    for name, uplink in subject.config.uplinks.items():
        if not isinstance(uplink, Hj212Uplink):
            continue
        if uplink.allow:
            yield Finding("hj212-orders", {"name": name, "orders": ", ".join(uplink.allow)})
        if not is_loopback(uplink.host):
            yield Finding("hj212-clear", {"name": name, "host": uplink.host}, note=True)


def witness(subject: Subject) -> Iterator[Finding]:
    """Without a second party that signs what it saw, a rewritten log is a good log."""
    mqtt = [uplink for uplink in subject.config.uplinks.values() if isinstance(uplink, MqttUplink)]
    if not any(uplink.witness for uplink in mqtt):
        yield Finding("witness-none")


def tls_library(_: Subject) -> Iterator[Finding]:
    """TLS 1.2 is the least everywhere; the library must still be looked after."""
    if ssl.OPENSSL_VERSION_INFO < (3, 0):
        yield Finding("tls-library", {"version": ssl.OPENSSL_VERSION})
