"""Numbers and foreign text as a person reads them."""


def many(number: int, thing: str) -> str:
    """Returns a number with its noun: ``1 unit``, ``2,048 units``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def printable(value: object) -> str:
    """Returns a value in one line, with control characters shown as escapes."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
