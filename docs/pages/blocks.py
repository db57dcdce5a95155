"""Marked blocks of a page: the text between two comments is replaced by what a function makes from the code."""

import re
from collections.abc import Callable, Mapping

Maker = Callable[[], str]
_BLOCK = re.compile(
    r"(?P<begin><!-- begin made from the code: (?P<name>[^>]+?) -->\n).*?(?P<end><!-- end made from the code -->)",
    re.DOTALL,
)


def fill(text: str, makers: Mapping[str, Maker], page: str) -> str:
    """Returns the page with every block made anew; raises KeyError with the names that exist for an unknown block."""

    def made(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in makers:
            raise KeyError(f"{page}: no block {name!r}; there are: {', '.join(sorted(makers))}")
        return f"{match['begin']}\n{makers[name]().strip()}\n\n{match['end']}"

    return _BLOCK.sub(made, text)


def block_names(text: str) -> list[str]:
    """Returns the names of a page's blocks in their order."""
    return [match["name"] for match in _BLOCK.finditer(text)]


def unlink_absent(text: str) -> str:
    """Returns the page without links to models that have no section on it."""
    headings = set(re.findall(r"^#+ (\w+)$", text, re.MULTILINE))
    return re.sub(r"\[([A-Z]\w+)\]\(#\w+\)", lambda match: match[0] if match[1] in headings else match[1], text)
