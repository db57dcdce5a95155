"""``python -m docs.pages``: writes the tables of all pages anew; with ``--check`` it names the pages that differ."""

import sys
from pathlib import Path

from docs.pages.blocks import fill
from docs.pages.registry import BLOCKS

DOCS = Path(__file__).resolve().parents[1]


def stale_pages(write: bool = False) -> list[str]:
    """Returns the names of the pages whose tables are not what the code says; ``write`` mends them."""
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        made = fill(text, BLOCKS, page.name)
        if made != text:
            stale.append(page.name)
            if write:
                page.write_text(made, encoding="utf-8")
    return stale


if __name__ == "__main__":
    check = sys.argv[1:] == ["--check"]
    differing = stale_pages(write=not check)
    print(
        f"docs: {', '.join(differing) or 'every page'} {'differs; run `make docs`' if differing and check else 'made'}"
    )
    sys.exit(1 if differing and check else 0)
