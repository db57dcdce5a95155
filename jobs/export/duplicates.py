"""Equal and nearly equal completions of one prompt; of several, the first one stays."""

import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Protocol, get_args

from sampling.errors import BadInput

Dedupe = Literal["exact", "normalised", "minhash"]
WAYS: tuple[Dedupe, ...] = get_args(Dedupe)
THRESHOLD = 0.8  # estimated Jaccard similarity of the sets of shingles, from which two texts count as equal
_PERMUTATIONS = 128
_SHINGLE = 3  # words
_SEED = 1


class Seen(Protocol):
    """The texts of one prompt so far."""

    def had(self, text: str) -> bool:
        """Tells whether an equal text came before; if not, it is kept for the next question."""


def new_index(way: Dedupe | None) -> Seen | None:
    """Returns an empty index; None where duplicates stay."""
    if way is None:
        return None
    return _Near() if way == "minhash" else _Equal(normalised if way == "normalised" else str)


def require(way: Dedupe | None) -> None:
    """Raises BadInput where the package that finds near duplicates is not installed."""
    if way == "minhash":
        try:
            import datasketch  # noqa: F401
        except ImportError as error:
            raise BadInput(
                "--dedupe minhash: needs the package datasketch; `pip install datasketch`, or take exact or normalised"
            ) from error


def normalised(text: str) -> str:
    """Returns a text without differences of case, white space and compatible forms of letters (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass
class _Equal:
    form: Callable[[str], str]
    digests: set[bytes] = field(default_factory=set)

    def had(self, text: str) -> bool:
        digest = hashlib.blake2b(self.form(text).encode("utf-8", "replace"), digest_size=16).digest()
        size = len(self.digests)
        self.digests.add(digest)
        return len(self.digests) == size


@dataclass
class _Near:
    """Texts by MinHash (Broder 1997) of their shingles of three words, looked up by bands (LSH)."""

    index: Any = None
    blank: Any = None
    count: int = 0

    def had(self, text: str) -> bool:
        from datasketch import MinHash, MinHashLSH

        if self.index is None:
            self.index = MinHashLSH(threshold=THRESHOLD, num_perm=_PERMUTATIONS)
            self.blank = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)
        sketch = self.blank.copy()
        sketch.update_batch([part.encode("utf-8", "replace") for part in shingles(text)])
        if self.index.query(sketch):
            return True
        self.index.insert(self.count, sketch, check_duplication=False)
        self.count += 1
        return False


def shingles(text: str) -> set[str]:
    """Returns every three words in a row of a normalised text; a shorter text is one shingle."""
    words = normalised(text).split(" ")
    if len(words) < _SHINGLE:
        return {" ".join(words)}
    return {" ".join((a, b, c)) for (a, b), c in zip(pairwise(words), words[2:], strict=False)}
