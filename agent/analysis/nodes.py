"""A result as a tree of lines in one language: for the terminal, and as a page that needs nothing else."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from host.problems import Lang, Sentences


@dataclass(frozen=True, slots=True)
class Node:
    """One line with those under it; `bad` is what a person must look at."""

    text: str
    under: "Sequence[Node]" = ()
    bad: bool = False


STYLE: Final = """
body{font:15px/1.5 system-ui,"Noto Sans SC",sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2733}
ul{list-style:none;margin:0;padding-left:1.4rem;border-left:1px solid #cfd8e0}
body>ul{border:0;padding:0}
summary{cursor:pointer}li{margin:.15rem 0;overflow-wrap:anywhere}.bad{color:#b3261e;font-weight:600}
"""


@cache
def _table() -> Sentences:
    return Sentences("agent.analysis", "words.toml")


def word(name: str, lang: Lang, /, **values: object) -> str:
    """A sentence of this folder with its places filled in. Raises KeyError for one that is not there: our bug."""
    return str(_table().table[name][lang]).format(**values)


def known(name: str, lang: Lang) -> str:
    """A word for a name of the program where there is one, else the name itself."""
    return word(name, lang) if name in _table().table else name.rpartition(".")[2]


def text(node: Node) -> str:
    """The tree as lines of a terminal."""
    return "\n".join([_clean(node.text), *_lines(node.under, "")])


def _lines(nodes: Sequence[Node], before: str) -> Iterator[str]:
    for at, node in enumerate(nodes):
        last = at == len(nodes) - 1
        yield f"{before}{'└─ ' if last else '├─ '}{_clean(node.text)}"
        yield from _lines(node.under, f"{before}{'   ' if last else '│  '}")


def _clean(line: str) -> str:
    """What an instrument or a person put into a text cannot move the cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def page(node: Node, lang: Lang) -> str:
    """The tree as one HTML file, folded where it is deep; it asks nothing of anybody."""
    title = html.escape(node.text)
    language = "zh-CN" if lang == "zh" else "en"
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{fragment(node)}</body></html>\n"
    )


def fragment(node: Node) -> str:
    """What lies under a node, as a list."""
    return f"<ul>{''.join(_item(one) for one in node.under)}</ul>"


def _item(node: Node) -> str:
    line = f'<span class="bad">{html.escape(node.text)}</span>' if node.bad else html.escape(node.text)
    if not node.under:
        return f"<li>{line}</li>"
    opened = " open" if node.bad or len(node.under) <= 8 else ""
    return f"<li><details{opened}><summary>{line}</summary>{fragment(node)}</details></li>"
