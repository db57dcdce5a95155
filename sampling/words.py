"""Numbers and foreign text as a person reads them."""

import re

_MARKUP = re.compile(r"[\\`*_\[\]#!|~$@<>&]|:(?=//)|(?<=www)\.")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def many(number: int, thing: str) -> str:
    """Returns a number with its noun: ``1 unit``, ``2,048 units``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def printable(value: object) -> str:
    """Returns a value in one line, with control characters shown as escapes."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def markdown_text(value: object) -> str:
    """Returns a value as text of Markdown in one line: no markup, no HTML, no link."""
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), printable(value))


def short(name: str, most: int = 80) -> str:
    """Returns a name, cut where it is longer than a line can show."""
    return name if len(name) <= most else name[: most - 1] + "…"
