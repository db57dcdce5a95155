"""One-line functions of ``x``, the source of the demo models' training data and of the demo's problems.

A level is the number of operators in the shortest expression that was found for a function. Two functions are equal if
their values on ``PROBE`` are equal, whatever their text. One function in sixteen, chosen by a hash of those values, is
held out: training never sees it in any spelling, and every problem is one of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Drawn = tuple[list[str], NDArray[np.int8], Ints]  # expressions, binding strength of each, values on PROBE

PROBE = np.arange(-12, 17, dtype=np.int64)  # inputs that tell functions apart
SHOWN = np.array([-6, -3, -1, 0, 1, 2, 5, 9], dtype=np.int64)  # the inputs of every prompt
SHOWN_LIMIT = 255  # the largest output that a prompt shows
VALUE_LIMIT = 10**6
MAX_TOKENS = 20  # tokens of an expression
SHOWN_PLACES = SHOWN - PROBE[0]

PIECES = r"(?: if | else |abs\(|min\(|max\(|//|==|[x0-9+\-*%&|^()<>,])"
_PIECES = re.compile(PIECES)
_TERNARY, _MINUS, _ATOM = 0, 7, 9
_MULTIPLIERS = np.random.default_rng(2407).integers(1, 2**63, size=len(PROBE), dtype=np.uint64) * 2 + 1


@dataclass(frozen=True)
class Operator:
    """A binary operator."""

    text: str
    binds: int
    """Binding strength."""
    apply: Callable[[Ints, Ints], Ints]
    """Its effect on columns of values."""
    joins: bool = False
    """True if both operands may be functions of x; else one must be a digit."""
    digit_first: bool = False
    """True if the first operand may be a digit: 5-x."""


OPERATORS = (
    Operator("+", 5, lambda a, b: a + b, joins=True),
    Operator("-", 5, lambda a, b: a - b, joins=True, digit_first=True),
    Operator("*", 6, lambda a, b: a * b, joins=True),
    Operator("//", 6, lambda a, b: a // b),
    Operator("%", 6, lambda a, b: a % b),
    Operator("&", 4, lambda a, b: a & b),
    Operator("|", 2, lambda a, b: a | b),
    Operator("^", 3, lambda a, b: a ^ b),
    Operator("min", _ATOM, np.minimum, joins=True),
    Operator("max", _ATOM, np.maximum, joins=True),
)
COMPARISONS: tuple[tuple[str, Callable[[Ints, Ints], NDArray[np.bool_]]], ...] = (
    (">", lambda a, b: a > b),
    ("<", lambda a, b: a < b),
    ("==", lambda a, b: a == b),
)


@dataclass(frozen=True)
class Level:
    """Distinct functions of one level: the text of each, the binding strength of its outermost operator, its values."""

    texts: list[str]
    binds: NDArray[np.int8]
    values: Ints

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digits(self) -> NDArray[np.bool_]:
        """True for each function that is constant."""
        return np.asarray((self.values == self.values[:, :1]).all(axis=1))

    def shown(self) -> Ints:
        """Returns the values on the inputs that a prompt shows."""
        return self.values[:, SHOWN_PLACES]

    def take(self, keep: NDArray[np.bool_]) -> "Level":
        """Returns only the functions that ``keep`` marks."""
        rows = np.flatnonzero(keep)
        return Level([self.texts[i] for i in rows], self.binds[rows], self.values[rows])


def hashes(values: Ints) -> Hashes:
    """Returns one hash per row of values on PROBE; equal functions have equal hashes."""
    mixed = (values.astype(np.uint64) * _MULTIPLIERS).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    return np.asarray(mixed * np.uint64(0xBF58476D1CE4E5B9), dtype=np.uint64)


def held_out(values: Ints) -> NDArray[np.bool_]:
    """Returns True for each row that is held out of training and used for problems only."""
    return np.asarray(hashes(values) >> np.uint64(60) == 0)


def pieces(text: str) -> list[str]:
    """Splits an expression into tokens."""
    return _PIECES.findall(text)


def leaves() -> Level:
    """Returns level 0: the input and the digits."""
    values = [PROBE, *(np.full_like(PROBE, digit) for digit in range(10))]
    return Level(["x", *"0123456789"], np.full(11, _ATOM, dtype=np.int8), np.stack(values))


def build_levels(sizes: tuple[int, ...], seed: int) -> list[Level]:
    """Builds levels 0 to ``len(sizes)``; each way to compose a level gets about as many spellings as its size says."""
    rng = np.random.default_rng(seed)
    levels = [leaves()]
    seen = set(hashes(levels[0].values).tolist())
    for size in sizes:
        levels.append(_distinct(_compose(levels, size, rng), seen))
    return levels


def _compose(levels: list[Level], size: int, rng: np.random.Generator) -> list[Drawn]:
    """Draws spellings of the next level with their values, for every way to split the operators."""
    below = len(levels) - 1
    drawn = [_negated(levels[below], size, rng)] if below == 0 else []
    drawn.append(_absolute(levels[below], size, rng))
    for left in range(below + 1):
        drawn += _binaries(levels[left], levels[below - left], size, rng)
    for yes in range(below):
        for no in range(below - yes):
            drawn += _conditionals(levels[yes], levels[no], levels[below - 1 - yes - no], size, rng)
    return drawn


def _indices(counts: tuple[int, ...], size: int, rng: np.random.Generator) -> list[Ints]:
    """Returns all combinations of indices if there are at most ``size``, else ``size`` random ones."""
    if np.prod([float(count) for count in counts]) <= size:
        return [grid.ravel() for grid in np.indices(counts, dtype=np.int64)]
    return [rng.integers(0, count, size=size) for count in counts]


def _negated(level: Level, size: int, rng: np.random.Generator) -> Drawn:
    (rows,) = _indices((len(level),), size, rng)
    texts = [f"-{_wrap(level, i, _MINUS)}" for i in rows]
    return texts, np.full(len(rows), _MINUS, dtype=np.int8), -level.values[rows]


def _absolute(level: Level, size: int, rng: np.random.Generator) -> Drawn:
    (rows,) = _indices((len(level),), size, rng)
    return [f"abs({level.texts[i]})" for i in rows], np.full(len(rows), _ATOM, dtype=np.int8), abs(level.values[rows])


def _binaries(left: Level, right: Level, size: int, rng: np.random.Generator) -> list[Drawn]:
    return [_binary(operator, left, right, size // len(OPERATORS), rng) for operator in OPERATORS]


def _binary(operator: Operator, left: Level, right: Level, size: int, rng: np.random.Generator) -> Drawn:
    """Composes ``left operator right`` where the operator may join them and is defined on all of PROBE."""
    a, b = _indices((len(left), len(right)), size, rng)
    allowed = ~left.digits[a] & (right.digits[b] | operator.joins) | (left.digits[a] & operator.digit_first)
    if operator.text in ("//", "%"):
        allowed &= (right.values[b] != 0).all(axis=1)
    a, b = a[allowed], b[allowed]
    texts = [_binary_text(operator, left, i, right, j) for i, j in zip(a, b, strict=True)]
    values = operator.apply(left.values[a], right.values[b])
    return texts, np.full(len(texts), operator.binds, dtype=np.int8), values


def _binary_text(operator: Operator, left: Level, i: int, right: Level, j: int) -> str:
    if operator.binds == _ATOM:
        return f"{operator.text}({left.texts[i]},{right.texts[j]})"
    return f"{_wrap(left, i, operator.binds)}{operator.text}{_wrap(right, j, operator.binds + 1)}"


def _conditionals(yes: Level, no: Level, test: Level, size: int, rng: np.random.Generator) -> list[Drawn]:
    return [_conditional(index, yes, no, test, size // 6, rng) for index in range(len(COMPARISONS))]


def _conditional(index: int, yes: Level, no: Level, test: Level, size: int, rng: np.random.Generator) -> Drawn:
    """Composes ``yes if test > digit else no``, which has two operators: the choice and the comparison."""
    symbol, compare = COMPARISONS[index]
    a, b, c, digit = _indices((len(yes), len(no), len(test), 10), size, rng)
    texts = [
        f"{_wrap(yes, i, 1)} if {_wrap(test, k, 2)}{symbol}{d} else {_wrap(no, j, 1)}"
        for i, j, k, d in zip(a, b, c, digit, strict=True)
    ]
    values = np.where(compare(test.values[c], digit[:, None]), yes.values[a], no.values[b])
    return texts, np.full(len(texts), _TERNARY, dtype=np.int8), values


def _wrap(level: Level, i: int, least: int) -> str:
    return level.texts[i] if level.binds[i] >= least else f"({level.texts[i]})"


def _distinct(drawn: list[Drawn], seen: set[int]) -> Level:
    """Returns the shortest spelling of every usable function that no lower level has; adds them to ``seen``."""
    texts = [text for part in drawn for text in part[0]]
    binds = np.concatenate([part[1] for part in drawn])
    values = np.concatenate([part[2] for part in drawn])
    best: dict[int, int] = {}
    marks = hashes(values).tolist()
    for i in np.flatnonzero(_usable(values)).tolist():
        known = best.get(marks[i])
        if marks[i] not in seen and (known is None or _plainer(texts[i], texts[known])):
            best[marks[i]] = i
    seen.update(best)
    rows = np.array([i for i in best.values() if len(pieces(texts[i])) <= MAX_TOKENS], dtype=np.int64)
    return Level([texts[i] for i in rows], binds[rows], values[rows])


def _plainer(text: str, other: str) -> bool:
    """Returns True if ``text`` is shorter, or as short with the input further to the left."""
    return (len(text), text.replace("x", "!")) < (len(other), other.replace("x", "!"))


def _usable(values: Ints) -> NDArray[np.bool_]:
    """Returns True for functions that are bounded, fit into a prompt, and show at least three different values."""
    shown = values[:, SHOWN_PLACES]
    steps = (np.diff(np.sort(shown, axis=1), axis=1) != 0).sum(axis=1)
    small = (abs(shown) <= SHOWN_LIMIT).all(axis=1)
    return np.asarray((abs(values) <= VALUE_LIMIT).all(axis=1) & small & (steps >= 2))


def prompt_text(outputs: Ints) -> str:
    """Formats the outputs on SHOWN as a prompt: ``-6=12;-3=0;-1=7 >``."""
    return ";".join(f"{a}={b}" for a, b in zip(SHOWN, outputs, strict=True)) + " >"
