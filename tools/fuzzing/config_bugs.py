"""Bugs that the campaigns on configuration files must find."""

from typing import Final

from bugs import Bug

BUGS: Final = {
    "line": Bug(
        "files",
        "lines are counted one too far",
        "host/document.py",
        'return text.count("\\n", 0, offset) + 1,',
        'return text.count("\\n", 0, offset) + 2,',
    ),
    "encoding": Bug(
        "files",
        "a file that is no UTF-8 raises another exception",
        "host/hjson.py",
        "except UnicodeDecodeError as error:",
        "except UnicodeEncodeError as error:",
    ),
    "syntax": Bug(
        "files",
        "a sign that ends the file too early has no sentence",
        "host/hjson.py",
        '    ("End of input", "syntax-open"),\n',
        "",
    ),
}
