"""Ray's processes that a test may kill: living ones, while other children of this process end."""

import psutil


def living(title: str) -> list[psutil.Process]:
    """Returns this process's living descendants whose title starts with ``title``, without zombies."""
    below = {process.pid for process in psutil.Process().children(recursive=True)}
    seen = psutil.process_iter(["cmdline"])  # None, not an error, for a zombie
    return [each for each in seen if each.pid in below and "".join((each.info["cmdline"] or [])[:1]).startswith(title)]
