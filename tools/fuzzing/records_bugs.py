"""Bugs that the campaigns on records and signed notes must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "kind": Bug(
        "bodies",
        "a kind that is no text raises another exception",
        "protocols/record.py",
        'if not isinstance(fields.get("kind"), str) or fields["kind"] not in KINDS:',
        'if fields.get("kind") not in KINDS:',
    ),
    "infinite": Bug(
        "bodies",
        "1e400 passes for a value",
        "central/shapes.py",
        "    x: FiniteFloat | None\n",
        "    x: float | None\n",
    ),
    "surrogate": Bug(
        "bodies",
        "half of a surrogate pair raises another exception when it is written",
        "protocols/record.py",
        "except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:",
        "except rfc8785.CanonicalizationError as error:",
    ),
    "believed": Bug(
        "notes",
        "a wrong signature of a known key is believed",
        "protocols/tlog.py",
        "        if verifier and not verifier.believes(text, signature):\n",
        "        if verifier and not verifier.believes(text, signature) and len(text) < 60:\n",
    ),
    "cut": Bug(
        "notes",
        "a cosignature cut short raises another exception",
        "protocols/tlog_cosign.py",
        "if len(blob) != 8 + _SIGNATURE_BYTES:",
        "if len(blob) > 8 + _SIGNATURE_BYTES:",
    ),
}
