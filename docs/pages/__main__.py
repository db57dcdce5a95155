"""``python -m docs.pages``: writes the tables of all pages anew; with ``--check`` it names the pages that differ."""

import sys
from pathlib import Path

from docs.pages.blocks import fill, unlink_absent
from docs.pages.registry import BLOCKS

DOCS = Path(__file__).resolve().parents[1]


def made_pages() -> dict[Path, str]:
    """Returns the text of every page as the code has it."""
    pages = sorted(DOCS.glob("*.md"))
    return {page: unlink_absent(fill(page.read_text(encoding="utf-8"), BLOCKS, page.name)) for page in pages}


def main() -> int:
    """Writes what differs, or only names it; returns the exit code."""
    check = sys.argv[1:] == ["--check"]
    stale = {page: text for page, text in made_pages().items() if page.read_text(encoding="utf-8") != text}
    for page, text in {} if check else stale.items():
        page.write_text(text, encoding="utf-8")
    names = ", ".join(page.name for page in stale) or "no page"
    print(f"docs: {names} differed from the code" + ("; run `make docs`" if stale and check else ""))
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
