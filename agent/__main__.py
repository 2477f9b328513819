"""`plumeline`: the command line of a station. Each command imports what it needs only when it runs."""

import sys
from typing import Final

from agent.cli import (
    account_line,
    analysis_line,
    archive_line,
    backup_line,
    board_calibration,
    board_colocation_line,
    cylinder_line,
    enrol_line,
    firmware,
    hj212_line,
    key_line,
    kv_line,
    process_line,
    qa_line,
    report_line,
    scan_line,
    update_line,
    user_line,
    verify_line,
)
from host.commands import Argument, Program, reason

SOCKET: Final = "/run/plumeline/agent.sock"

ARGUMENTS: Final[dict[str, Argument]] = {
    "CONFIG": ("config", {"metavar": "CONFIG"}),
    "NAME": ("name", {"metavar": "NAME"}),
    "KEY": ("key", {"metavar": "KEY"}),
    "EXAMPLE": ("example", {"metavar": "EXAMPLE", "nargs": "?"}),
    "--clock": ("--clock", {"metavar": "WALL0,WORLD0,RATE"}),
    "--record": ("--record", {"metavar": "DIR"}),
    "TRANSCRIPT": ("transcript", {"metavar": "TRANSCRIPT", "nargs": "+"}),
    "--config": ("--config", {"metavar": "CONFIG"}),
    "--instrument": ("--instrument", {"metavar": "NAME"}),
    "--dry-run": ("--dry-run", {"action": "store_true"}),
    "--json": ("--json", {"action": "store_true"}),
    "--socket": ("--socket", {"metavar": "PATH", "default": SOCKET}),
    "--who": ("--who", {"metavar": "PERSON"}),
    "--reason": ("--reason", {"metavar": "TEXT", "required": True, "type": reason}),
    "--hours": ("--hours", {"metavar": "HOURS", "type": float, "required": True}),
    **account_line.ARGUMENTS,
    **analysis_line.ARGUMENTS,
    **archive_line.ARGUMENTS,
    **backup_line.ARGUMENTS,
    **firmware.ARGUMENTS,
    **board_calibration.ARGUMENTS,
    **board_colocation_line.ARGUMENTS,
    **cylinder_line.ARGUMENTS,
    **enrol_line.ARGUMENTS,
    **hj212_line.ARGUMENTS,
    **key_line.ARGUMENTS,
    **kv_line.ARGUMENTS,
    **process_line.ARGUMENTS,
    **qa_line.ARGUMENTS,
    **report_line.ARGUMENTS,
    **scan_line.ARGUMENTS,
    **update_line.ARGUMENTS,
    **user_line.ARGUMENTS,
    **verify_line.ARGUMENTS,
}
# Command, the function that runs it, its arguments; what each means stands in two languages in cli.toml.
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("run", "agent.cli.run:run", ("CONFIG", "--record", "--clock")),
    ("play", "agent.cli.play:play", ("TRANSCRIPT", "--config", "--instrument", "--json")),
    ("check", "agent.cli.config:check", ("CONFIG", "--dry-run", "--json")),
    ("status", "agent.cli.live:status", ("--socket", "--json")),
    ("watch", "agent.cli.live:watch", ("--socket", "--json")),
    ("calibrate start", "agent.cli.live:calibrate_start", ("NAME", "--who", "--socket", "--json")),
    ("calibrate abort", "agent.cli.live:calibrate_abort", ("--who", "--socket", "--json")),
    ("calibrate safe", "agent.cli.gas:safe", ("CONFIG", "--json")),
    ("rehearse", "agent.cli.rehearse:rehearse", ("CONFIG", "NAME", "--json")),
    ("clock confirm", "agent.cli.live:clock_confirm", ("--reason", "--who", "--socket", "--json")),
    ("maintenance on", "agent.cli.live:maintenance_on", ("--reason", "--hours", "--who", "--socket", "--json")),
    ("maintenance off", "agent.cli.live:maintenance_off", ("--who", "--socket", "--json")),
    ("config schema", "agent.cli.config:schema", ()),
    ("config example", "agent.cli.config:example", ("EXAMPLE",)),
    ("config vkey", "agent.cli.ledger:vkey", ("CONFIG",)),
    ("config explain", "agent.cli.config:explain", ("KEY", "--json")),
    *account_line.COMMANDS,
    *analysis_line.COMMANDS,
    *archive_line.COMMANDS,
    *backup_line.COMMANDS,
    *firmware.COMMANDS,
    *board_calibration.COMMANDS,
    *board_colocation_line.COMMANDS,
    *cylinder_line.COMMANDS,
    *enrol_line.COMMANDS,
    *hj212_line.COMMANDS,
    *key_line.COMMANDS,
    *kv_line.COMMANDS,
    *process_line.COMMANDS,
    *qa_line.COMMANDS,
    *report_line.COMMANDS,
    *scan_line.COMMANDS,
    *update_line.COMMANDS,
    *user_line.COMMANDS,
    *verify_line.COMMANDS,
)

PROGRAM: Final = Program("plumeline", "agent", ARGUMENTS, COMMANDS)
main: Final = PROGRAM.main

if __name__ == "__main__":
    sys.exit(main())
