"""Where the rules of `agent.checks.check` put what they find: problems with their place, sentences in two languages."""

from functools import cache
from typing import Any

from host.document import Document, KeyPath
from host.explain import nearest
from host.problems import Problem, Sentences, Severity
from metrology.declaration import Advice


@cache
def sentences() -> Sentences:
    """Sentences about parts of a station that do not agree."""
    return Sentences("agent.checks", "check.toml")


class Findings:
    """Collects problems of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def error(self, code: str, /, *path: str | int, at_key: bool = False, **values: Any) -> None:
        """Note what makes the configuration unusable."""
        self._note("error", code, path, at_key, values)

    def warn(self, code: str, /, *path: str | int, at_key: bool = False, **values: Any) -> None:
        """Note what works and costs quality, or will fail later; it never keeps a station from starting."""
        self._note("warning", code, path, at_key, values)

    def advise(self, advice: Advice, *path: str | int) -> None:
        """Note what a driver itself says of its options, in its own words."""
        en = advice.en, "Change the option, or accept it."
        said = (advice.zh, "请修改该选项，或接受其后果。") if self.document.lang == "zh" else en
        self.problems.append(self.document.placed(advice.code, path, said, severity="warning"))

    def _note(self, severity: Severity, code: str, path: KeyPath, at_key: bool, values: dict[str, Any]) -> None:
        said = sentences().say(code, self.document.lang, **values)
        self.problems.append(self.document.placed(code, path, said, severity=severity, at_key=at_key))

    def known(self, code: str, name: str, names: Any, *path: str | int, at_key: bool = False) -> bool:
        """Tell whether `name` is among `names`; where it is not, note `code` with the nearest name and all of them."""
        if name in names:
            return True
        near = nearest(name, names)
        lang = self.document.lang
        listed = ", ".join(sorted(names)) or sentences().word("none", lang)
        hint = sentences().word("did-you-mean", lang) or ""
        self.error(code, *path, at_key=at_key, name=name, known=listed, hint=hint.format(near=near) if near else "")
        return False

    def line(self, *path: str | int) -> int:
        """Line of a value, for sentences that point at another place."""
        return self.document.placed("", path, ("", "")).line
