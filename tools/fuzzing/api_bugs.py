"""Bugs that the campaigns on the programs' own interfaces must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "type": Bug(
        "requests",
        "a member that is no text raises another exception",
        "agent/requests.py",
        "    if not isinstance(value, str) or not 0 < len(value) <= 200:\n",
        "    if value is None or not 0 < len(value) <= 200:\n",
    ),
    "refused": Bug(
        "requests",
        "a gas that is not known raises another exception",
        "agent/gas/register_requests.py",
        "        if cylinder is None:\n",
        "        if cylinder is False:\n",
    ),
    "overflow": Bug(
        "pages",
        "the first hours of the calendar end in an internal error",
        "central/app.py",
        "        except (ValueError, KeyError, OverflowError):\n",
        "        except (ValueError, KeyError):\n",
    ),
    "stranger": Bug(
        "pages",
        "a path is open to strangers",
        "web/guard.py",
        "        if rule in OPEN:\n",
        '        if rule in OPEN or (rule or "").endswith("gases"):\n',
    ),
}
