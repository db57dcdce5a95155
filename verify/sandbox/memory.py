"""Layout of the zygote's memory: a child inherits what it needs, and touches few of its pages.

The cost of a short sample is pages: each page that a child writes to is copied in a fault of two microseconds, and each
page of a mapped file has to be found again. Measured (``bench/verify.py``), of 310 faults per sample, code on inherited
pages saves 70; caches filled beforehand (``verify.sandbox.rehearsal``) and full pools save another 70.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH123

import ctypes
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE_ANONYMOUS = 0x22
_MOVE_OVER = 3  # MREMAP_MAYMOVE | MREMAP_FIXED
_USE_LARGE_PAGES = 14
_LARGE = 2 << 20
_MOST = 32 << 20  # bytes of code: an interpreter has a quarter of that

_SMALLEST, _LARGEST = 16, 512  # what CPython keeps in pools, in steps of 16 bytes
_POOL, _POOL_HEADER = 1 << 14, 48
_IN_A_ROW = 3

Region = tuple[int, int, str]  # first address, bytes, file


def inherit_code(but: Sequence[str] = ()) -> None:
    """Moves the mapped code and constants of this process, except of files below ``but``, to large private pages.

    A fork does not copy the page tables of mapped files, so each child would fault libpython and libc in again.
    Each address holds the same bytes afterwards. Raises OSError; some parts then stay where they were.
    """
    if os.uname().machine != "x86_64":  # elsewhere copied code needs its caches flushed
        return
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        regions = _code_regions(file, tuple(but))
    room = sum(size for _, size, _ in regions) + 2 * _LARGE * (1 + sum(size >= _LARGE for _, size, _ in regions))
    if room > _MOST:
        return
    base = at = _call("mmap", 0, room, _READ | _WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    _call("madvise", base, room, _USE_LARGE_PAGES)
    unused = []
    for start, size, _ in regions:
        skipped = (start - at) % _LARGE if size >= _LARGE else 0  # equally aligned, a large page is moved as a whole
        unused.append((at, skipped))
        at += skipped
        _call("memcpy", at, start, size)
        _call("mprotect", at, size, _READ | _EXECUTE)
        _call("mremap", at, size, size, _MOVE_OVER, start)  # at once, so that this very code goes on
        at += size
    for first, size in [*unused, (at, base + room - at)]:  # not what was moved: something else may lie there by now
        if size:
            _call("munmap", first, size)


def _code_regions(maps: Iterable[str], but: tuple[str, ...]) -> list[Region]:
    """Returns the mapped regions of libraries and executable that are not written to; neighbours are joined."""
    found: list[Region] = []
    for line in maps:
        fields = line.split(maxsplit=5)
        path = fields[5].strip() if len(fields) > 5 else ""
        is_code = ".so" in path or path.startswith(os.path.realpath("/proc/self/exe"))
        if fields[1] not in ("r-xp", "r--p") or not is_code or path.startswith(but):
            continue
        start, end = (int(address, 16) for address in fields[0].split("-"))
        if found and found[-1][2] == path and found[-1][0] + found[-1][1] == start:
            found[-1] = (found[-1][0], end - found[-1][0], path)
        else:
            found.append((start, end - start, path))
    return found


def _call(name: str, *arguments: int) -> int:
    function = ctypes.CDLL(None, use_errno=True)[name]
    function.restype = ctypes.c_ssize_t
    result = int(function(*map(ctypes.c_ssize_t, arguments)))
    if result == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def fill_pools() -> list[Any]:
    """Fills all free places between objects; while the result is kept, new objects lie close together.

    CPython serves each size from pools of 16 kB. In a pool with holes a new object touches the page of the pool's head
    and the page of the hole; at the beginning of a fresh pool these are one.
    """
    return [block for size in range(_SMALLEST, _LARGEST + 1, 16) for block in _fill(_maker(size), size)]


def _maker(size: int) -> Callable[[], object]:
    """Returns a function that makes an object of a size class; ``bytes`` has a head of 33."""
    if size == _SMALLEST:
        return object
    return (lambda: float("1.5")) if size < 48 else (lambda: bytes(size - 33))


def _fill(make: Callable[[], object], size: int) -> list[object]:
    """Makes objects until some in a row lie as they do in a pool that was never used; returns the others."""
    blocks: list[object] = []
    row = 0
    while row < _IN_A_ROW and len(blocks) < 20_000:
        blocks.append(make())
        offset = id(blocks[-1]) % _POOL
        row = row + 1 if offset == _POOL_HEADER + row * size else int(offset == _POOL_HEADER)
    return blocks[:-row] if row else blocks
