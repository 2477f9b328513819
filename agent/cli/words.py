"""What the command line says, in two languages (`cli.toml`, rows `say.*`)."""

from functools import cache

from host.problems import Lang, Sentences


@cache
def _table() -> Sentences:
    return Sentences("agent", "cli.toml")


def say(name: str, lang: Lang, /, **values: object) -> str:
    """A sentence with its places filled in. Raises KeyError for one that is not there: our bug."""
    return str(_table().table[f"say.{name}"][lang]).format(**values)
