"""How numbers are said to a person."""


def many(number: int, thing: str) -> str:
    """``1 unit``, ``2,048 units``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
