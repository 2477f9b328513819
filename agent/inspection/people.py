"""Who may sign in at the station page."""

import json
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.inspection.finding import Finding, Subject

ACCOUNTS_FILE = "page-accounts.json"


def accounts(subject: Subject) -> Iterator[Finding]:
    """One administrator more than one person may lose; no former shared password lying about."""
    if subject.config.page is None:
        return
    path = Path(subject.config.store.path, ACCOUNTS_FILE)
    rows = []
    with suppress(OSError, ValueError, KeyError):
        rows = json.loads(path.read_text(encoding="utf-8"))["accounts"]
    if not rows:
        yield Finding("accounts-none", {"path": path})
        return
    admins = [row for row in rows if row["role"] == "admin" and not row["disabled"]]
    if len(admins) < 2:
        yield Finding("accounts-one-admin")
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("accounts-mode", {"path": path})
    if path.with_name("page-password").exists():
        yield Finding("accounts-former", {"path": path.with_name("page-password")})
    yield Finding("accounts-passwords", note=True)
