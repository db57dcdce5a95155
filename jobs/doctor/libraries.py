"""Versions of the libraries under an engine: the C library, the wheels, CUDA's compiler."""

import importlib.metadata
import importlib.util
import platform
import re
from pathlib import Path

from jobs.doctor.finding import Finding

OLDEST_GLIBC = (2, 31)


def c_library() -> Finding:
    """Looks at the C library, as the wheels of vLLM and PyTorch do not load with an older one."""
    version = platform.libc_ver()[1] or "unknown"
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    new = not numbers or numbers >= OLDEST_GLIBC
    cure = "" if new else f"; the wheels need {'.'.join(map(str, OLDEST_GLIBC))} or later: a newer system, or an image"
    return Finding(what="glibc", usable=new, seen=f"{version}{cure}")


def version_of(package: str) -> str | None:
    """Returns the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cuda_of_torch() -> str | None:
    """Returns the CUDA version that the installed PyTorch was built for; None for a CPU build, or without PyTorch.

    It is read from PyTorch's own text: importing it takes seconds.
    """
    found = importlib.util.find_spec("torch")
    file = Path(found.origin or "").with_name("version.py") if found else None
    said = re.search(r"^cuda\b.*= *'([\d.]+)'", file.read_text(), re.MULTILINE) if file and file.is_file() else None
    return said[1] if said else None
