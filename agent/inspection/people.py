"""Who may sign in at the station page."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.inspection.finding import Finding, Subject

ACCOUNTS_FILE = "page-accounts.json"


def accounts(subject: Subject) -> Iterator[Finding]:
    """One administrator more than one person may lose; no former shared password lying about."""
    if subject.config.page is None:
        return
    path = Path(subject.config.store.path, ACCOUNTS_FILE)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["accounts"]
        admins = [row for row in rows if row["role"] == "admin" and not row["disabled"]]
    except FileNotFoundError:
        rows = []
    except PermissionError:
        yield Finding("accounts-unseen", {"path": path}, note=True)
        return
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        yield Finding("accounts-damaged", {"path": path, "why": f"{type(error).__name__}: {error}"})
        return
    if not rows:
        yield Finding("accounts-none", {"path": path})
        return
    if len(admins) < 2:
        yield Finding("accounts-one-admin")
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("accounts-mode", {"path": path})
    if path.with_name("page-password").exists():
        yield Finding("accounts-former", {"path": path.with_name("page-password")})
    yield Finding("accounts-passwords", note=True)
