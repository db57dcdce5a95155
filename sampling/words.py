"""Numbers in words for messages."""


def many(number: int, thing: str) -> str:
    """Returns a number with its noun: ``1 unit``, ``2,048 units``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
