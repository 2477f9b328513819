"""Bugs that the campaigns on MQTT must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "order": Bug(
        "payloads",
        "the same number twice in a payload",
        "protocols/mqtt/payload.py",
        "if any(later <= earlier for earlier, later in",
        "if any(later < earlier for earlier, later in",
    ),
    "surrogate": Bug(
        "payloads",
        "text that no store can keep is taken",
        "protocols/mqtt/payload.py",
        "if _SURROGATE.search(body):",
        'if b"\\\\ud8" in body:',
    ),
    "overlap": Bug(
        "payloads",
        "missing ranges that overlap are taken",
        "protocols/mqtt/messages.py",
        "if first <= edge or last < first:",
        "if first < edge or last < first:",
    ),
}
