"""Which of Ray's processes a test may kill: those that live, while others of this process's children end."""

import psutil


def living(title: str) -> list[psutil.Process]:
    """This process's descendants whose title starts so. One that ends, or is not yet buried, while we look is none."""
    below = {process.pid for process in psutil.Process().children(recursive=True)}
    seen = psutil.process_iter(["cmdline"])  # None, not an error, for a zombie
    return [each for each in seen if each.pid in below and "".join((each.info["cmdline"] or [])[:1]).startswith(title)]
