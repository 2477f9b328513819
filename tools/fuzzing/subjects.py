"""What can be fuzzed: each subject with its targets, whose branches lead the way, and what counts as its parser.

The module `{subject}_{target}` has `seeds()`, the first inputs; `one_input(data)`, which raises where something is
broken; and `inside(data, room, seed, mutate)`, which damages an input and repairs its outer framing, so that the damage
gets past it. `{subject}_bugs` has the planted bugs.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Final

# Short inputs mostly, of which many fit a second; every fourth slice has full ones, every eighth long ones.
Sizes = tuple[int, int, int]
Mutate = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class Target:
    """`lead`: modules whose branches libFuzzer counts. Loops over every byte would be counted at a high price."""

    lead: tuple[str, ...]
    sizes: Sizes
    slice_: int = 100_000


@dataclass(frozen=True)
class Subject:
    """`parser`: of which 95 % of the lines must be reached by what the campaigns kept; `more` is shown too.

    A module, or of one that writes too `module:what,reads`.
    """

    targets: dict[str, Target]
    parser: tuple[str, ...]
    more: tuple[str, ...] = ()


def _under(package: str, *modules: str) -> tuple[str, ...]:
    return tuple(f"{package}.{module}" for module in modules)


SUBJECTS: Final = {
    "hj212": Subject(
        {
            "decoder": Target(
                _under("protocols.hj212", "candidate", "decoder", "frame", "message", "plain", "segment", "sm4"),
                (320, 1100, 2560),
            ),
            "sessions": Target(
                _under(
                    "protocols.hj212", "link_commands", "outgoing", "platform", "platform_requests", "reader",
                    "service", "session", "split", "station", "transitions", "uploads",
                ),
                (320, 700, 1800),
            ),
        },
        _under("protocols.hj212", "candidate", "crc", "decoder", "frame", "message", "plain", "segment", "sm4"),
        _under(
            "protocols.hj212", "link_commands", "outgoing", "platform", "platform_requests", "reader", "service",
            "session", "split", "station", "transitions",
        ),
    ),
    "records": Subject(
        {
            "bodies": Target(("protocols.record", "central.shapes", "metrology.periods"), (400, 1200, 4000)),
            "notes": Target(("protocols.tlog", "protocols.tlog_cosign", "protocols.tlog_proofs"), (400, 900, 2000)),
        },
        (
            "protocols.record:decode,encode,_plain,_as_written,_no_duplicates,_refuse", "central.shapes",
            "protocols.tlog:decode64,parse_vkey,Verifier,check_text,signature_parts,split_note,open_note,open_checkpoint,"
            "parse_checkpoint",
            "protocols.tlog_cosign:WitnessKey,cosigned_at,line_name",
            "protocols.tlog_proofs:verify_inclusion,verify_consistency",
        ),
    ),
    "mqtt": Subject(
        {
            "payloads": Target(
                _under("protocols.mqtt", "payload", "messages", "topics", "coverage", "window"), (500, 1500, 6000)
            ),
        },
        _under(
            "protocols.mqtt", "payload:parse_payload,parse_envelope,_row,_mismatch", "messages", "topics", "coverage"
        ),
        _under("protocols.mqtt", "window"),
    ),
    "config": Subject(
        {
            "files": Target(
                _under("host", "hjson", "hjson_scan", "document", "explain", "problems"), (360, 1000, 3000)
            ),
        },
        _under(
            "host",
            "hjson:_whole,_syntax_problem,_text,parsed,_swallow_problems,_unfit_problems,_repeat_problem,validate,fitted",
            *("hjson_scan", "document", "explain", "problems"),
        ),
    ),
    "drivers": Subject(
        {
            "polled": Target(
                (
                    "drivers.alicat", "drivers.bayern_hessen", "drivers.bronkhorst", "drivers.dlt645",
                    "drivers.gill_windsonic", "drivers.licor_li850", "drivers.ma_adam", "drivers.ma_modbus",
                    "drivers.mhz19", "drivers.picarro", "drivers.picarro_reply", "drivers.sds011",
                    "drivers.senseair_ram", "drivers.sps30", "drivers.thermo_clink", "drivers.vaisala_gmp343",
                    "drivers.register_map", "drivers.text_line", "drivers.values", "drivers.binary",
                ),
                (160, 400, 2000),
            ),
            "streams": Target(
                (
                    "drivers.lgr_gga", "drivers.licor_li7810", "drivers.licor_li850", "drivers.line_stream",
                    "drivers.nmea_gps", "drivers.gill_windsonic", "drivers.vaisala_gmp343", "firmware_bridge.plantower",
                ),
                (200, 600, 3000),
            ),
        },
        (
            "drivers.alicat", "drivers.bayern_hessen", "drivers.bronkhorst", "drivers.dlt645",
            "drivers.gill_windsonic", "drivers.lgr_gga", "drivers.licor_li7810", "drivers.licor_li850",
            "drivers.line_stream", "drivers.ma_adam", "drivers.ma_modbus", "drivers.mhz19", "drivers.nmea_gps",
            "drivers.picarro:Picarro,_number,_plain", "drivers.picarro_reply", "drivers.sds011", "drivers.senseair_ram",
            "drivers.sps30",
            "drivers.thermo_clink", "drivers.vaisala_gmp343", "drivers.values", "drivers.binary",
        ),
        ("drivers.register_map", "drivers.register_table", "drivers.text_line"),
    ),
    "api": Subject(
        {
            "requests": Target(
                (
                    "agent.people", "agent.requests", "agent.gas.register_requests", "agent.gas.refusals",
                    "agent.gas.cylinder_rows", "agent.history.daemon", "agent.qa.requests", "agent.space.requests",
                    "agent.firmware.requests", "agent.reports", "host.control",
                ),
                (300, 700, 2500),
                50_000,
            ),
            "pages": Target(
                (
                    "central.app", "central.hj212_pages", "central.queries", "central.views", "web.access", "web.entry",
                    "web.forms", "web.guard", "web.shell",
                ),
                (120, 300, 1200),
            ),
        },
        (
            "agent.people:gate,_by,_asked,handlers,_keepable", "agent.requests:handlers,_text",
            "agent.gas.register_requests",
            "agent.history.daemon:Indexed,Newest,Numbered,Placed,SeqAt,handlers,_asked", "agent.qa.requests",
            "agent.space.requests", "central.app:Pages", "central.hj212_pages", "host.control:_parsed",
            "web.access:rule_of,allowed,is_of_own_page", "web.guard",
        ),
        ("agent.firmware.requests", "agent.reports", "web.entry", "web.forms", "web.shell"),
    ),
    "boards": Subject(
        {
            "frames": Target(
                _under("firmware_bridge", "board", "frame", "manage", "missing", "smp_line", "smp_talk"),
                (200, 700, 2600),
            ),
        },
        _under(
            "firmware_bridge", "frame:unstuffed,checked,decode_frame,decode_body,Cutter",
            "manage:Letter,decode_letter,identity,health,time_of,setting_of,_unpacked", "missing", "smp_line:Console",
            "smp_talk:answers,understood,_refusal,_named,_int",
        ),
        _under("firmware_bridge", "board"),
    ),
}  # fmt: skip


def target_of(subject: str, target: str) -> ModuleType:
    """The module of a target."""
    return importlib.import_module(f"{subject}_{target}")
