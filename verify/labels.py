"""Option labels in short pieces of text: "(E) polygenic score", "$\\mathrm{B}$", "A and C", or the text of an option.

A piece says one selection (a set of labels), says that it is undecided ("A or B"), or says nothing. In doubt it says
nothing: an article is no label ("a dog", "A bit unclear", "I cannot tell"), nor is "B cells" or "B is wrong".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

MAX_SAID = 400  # characters of a statement that are read
Selection = frozenset[str]
UNDECIDED: Selection = frozenset({""})  # labels are named, but not chosen: an earlier choice no longer counts

_FONTS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mathtt|mathcal|underline|mbox|rm|bf|boxed)\b"
)
_MARKS = re.compile(r"[*$`\"“”„‘«»{}]|\\[()\[\]]|\\quad\b|__|</?(?:b|strong|i|em|answer)>|[✓✔✅☑👉➡★\ufe0f]")
_SPACES = re.compile(r"\\[ ,;:!]|~|\s")
_BRACKETS = str.maketrans("[]<>【】", "()()()")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", ord("。"): ".", ord("、"): ","}
_FILLER = (
    r"(?:(?:is|definitely|clearly|simply|just|probably|most likely|likely|indeed|therefore|thus|both|the|"
    r"i think|i believe|i['’]d say|"
    r"l['’]|la|el|le|der|die|das|correct|right|best|final|options?|choices?|letters?|answers?|"
    r"number|no\.|nummer|option|opción"
    r"|opção|opzione|вариант|"
    r"选项|[:：#=→]|[-–—](?=\s))\s*){0,6}"
)
_NO_MORE = r"(?![A-Za-z0-9_À-ɏ]|['’][A-Za-z])"
_REASON = re.compile(
    r"(?:because|since|as(?! well)|due to|given|based on|so|therefore|thus|rather than|instead of|not)\b"
    r"|です|である|입니다|이다|正确"
    r"|(?:is|are) (?:the |clearly |indeed )?(?:correct|right|best|true answer|answer)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"[\s,:;)(—–-]*(?:is|are|was|were|(?:is|are|was|ca|do|does)n['’]?t|can|cannot|could|may|might|must|would|"
    r"should|does|do|seems?|appears?)\b"
    r"(?! (?:the |clearly |indeed |also |definitely )?(?:correct|right|best|answer|only correct))"
    r"|[\s,:;)(—–-]*(?:(?:which|that|it|they) (?:is|are|was|were) )?(?:wrong|incorrect|false|no\b|错)"
    r"|[\s,:;)(—–-]*(?:which|that|it|they) (?:(?:is|are|was|were|can|does|do) ?(?:not\b|n['’]t)|cannot)",
    re.IGNORECASE,
)
_OR = re.compile(r"[\s.,…]{0,9}(?:or|oder|ou|或)\b", re.IGNORECASE)
# A small word after "E." makes a name of it ("E. coli"), unless it is a word that begins a clause.
_NAME = re.compile(
    r"\.\s[A-Z]\.|\.\s(?!(?:the|an?|it|its|this|that|these|they|there|we|i|all|both|none|no|not|to|by|in|on|of|at|as|is|"
    r"are|because|since|so|for|from|with|when|if|here|only|each|more|increase|decrease)\w{0,2}\b)[a-z]"
)
_AFTER = re.compile(r"\s*(?:$|[).:,;!。，]|[-–—]\s)|\s\((?!or\b|and\b|maybe\b|not\b|\(?[A-Z]\b)")


_WORDS_IN = re.compile(r"\\(?:text|mathrm|mbox)\s?\{([^{}]{0,100})\}")
_TRUTH = re.compile(r"\A\s?(yes|no|true|false)[,.]", re.IGNORECASE)
_BLANKS = re.compile(r"\\[,;: !]|~")


def plain(said: str) -> str:
    """Returns a piece of text without fonts, emphasis, dollars, quotes and braces, and with round brackets only."""
    said = _MARKS.sub("", _FONTS.sub("", said[:MAX_SAID]))
    return _SPACES.sub(" ", said).translate(_BRACKETS).strip()


def spelling(text: str) -> str:
    """Returns one spelling of an option's text: without outer marks, articles, case, and stops at its end."""
    text = " ".join(text[: 4 * MAX_SAID].split()).strip('*$`"“”‘’«».,;:! ')
    if found := re.fullmatch(r"\\text\{([^{}]*)\}", text):
        text = found[1].strip(" .")
    text = re.sub(r"\\dfrac|\\tfrac", r"\\frac", _BLANKS.sub(" ", _WORDS_IN.sub(r"\1", text.replace("$", ""))))
    text = re.sub(r"\\frac\{([0-9]{1,9})\}\{([0-9]{1,9})\}", r"\1/\2", re.sub(r"\A\s?[a-z]\s?=\s?", "", text))
    text = re.sub(r"(?<=[0-9]) ?(?=[A-Za-z%°])|(?<=[0-9])\.0{1,9}\Z", "", " ".join(text.split()))
    return re.sub(r"\A(?:the|an?) (?=\S)", "", text.casefold())


@dataclass(frozen=True)
class Labels:
    """The labels of a problem: ``options`` as (label, text), else any capital letter, or any number for ``numbers``.

    ``several`` reads letters written together ("AC") as several labels.
    """

    options: tuple[tuple[str, str], ...] = ()
    numbers: bool = False
    several: bool = False

    @property
    def _one(self) -> str:
        if self.options:
            names = sorted((label for label, _ in self.options), key=lambda label: (-len(label), label))
            return "|".join(map(re.escape, names))
        return "[0-9]{1,3}" if self.numbers else "[A-Z]"

    @cached_property
    def _digits(self) -> bool:
        return self.numbers or any(label.isdigit() for label, _ in self.options)

    @cached_property
    def _first(self) -> re.Pattern[str]:
        end = _NO_MORE + (r"(?!\s?[.,][0-9]|\s?%|\s?°)" if self._digits else "")
        together = rf"(?P<together>(?:{self._one}){{2,26}}){_NO_MORE}|" if self.several and not self._digits else ""
        return re.compile(
            rf"\s*{_FILLER}'?(?:{together}(?P<open>(?:\(\s*){{1,3}})?(?P<label>{self._one}){end}'?"
            rf"(?P<close>(?:\s*\)){{1,3}})?)",
            re.IGNORECASE,
        )

    @cached_property
    def _next(self) -> re.Pattern[str]:
        sure, unsure = (
            r",\s*and\b|and\b|und\b|et\b|[,;&+，和及与]",
            r",?\s*or\b|oder\b|ou\b|to\b|nor\b|vs\b|[/|=或]|[-–](?=\S)",
        )
        words = r"(?:both|also|maybe|perhaps|possibly|options?|choices?|the)?"
        end = _NO_MORE + (r"(?![.,][0-9])" if self._digits else "")
        return re.compile(
            rf"(?:\s*(?:(?P<sure>{sure})|(?P<unsure>{unsure}))\s*{words}\s*|\s*(?=\())"
            rf"(?P<open>\(\s*)?(?P<label>{self._one}){end}(?P<close>\s*\))?",
            re.IGNORECASE,
        )

    @cached_property
    def _names(self) -> dict[str, str]:
        return {label.casefold(): label for label, _ in self.options}

    @cached_property
    def texts(self) -> dict[str, Selection]:
        """Options by the spelling of their texts; texts of several options, and texts that are labels, are left out."""
        found: dict[str, Selection] = {}
        for label, text in self.options:
            said = spelling(text)
            found[said] = found.get(said, frozenset()) | {label}
        return {said: one for said, one in found.items() if len(one) == 1 and said and said not in self._names}

    def rank(self, label: str) -> tuple[int, str]:
        """Returns the place of a label among all labels, to sort by."""
        order = [name for name, _ in self.options]
        return (order.index(label), "") if label in order else (len(label), label)

    def place(self, chosen: Selection) -> tuple[int, str]:
        """Returns the place of the first chosen label."""
        return min((self.rank(label) for label in chosen), default=(0, ""))

    def read(self, said: str, *, line: bool = False, strict: bool = False) -> Selection | None:
        """Returns the labels at the head of ``said``, UNDECIDED, or None where it names none.

        ``line``: a whole line that may be any prose, so a small letter needs brackets around it. ``strict``: nothing
        but the labels may stand there.
        """
        if by_text := self._by_text(said, whole=line):
            return by_text
        said = plain(said)
        found = self._first.match(said)
        if found is None:
            return None
        if together := found.groupdict().get("together"):
            return (
                frozenset(self._name(label) for label in together)
                if self._together(together, said[found.end() :])
                else None
            )
        if not self._is_label(found, said, line):
            return None
        chosen, sure, at = {self._name(found["label"])}, True, found.end()
        while (more := self._next.match(said, at)) and self._is_joined(more, said):
            sure, at = sure and more["unsure"] is None, more.end()
            chosen.add(self._name(more["label"]))
        if _OR.match(said, at) or not sure:
            return UNDECIDED if len(chosen) > 1 or _OR.match(said, at) else frozenset(chosen)
        return self._with_rest(frozenset(chosen), said[at:], bool(found["close"]), strict)

    def _with_rest(self, chosen: Selection, rest: str, closed: bool, strict: bool) -> Selection | None:
        """Judges what follows the labels: a stop, a reason or the option's own text; a denial, or prose."""
        if not rest.strip(" .,;:!)"):
            return chosen
        if self.options and (said := self._texts_at(rest)):
            return chosen if said == chosen else UNDECIDED
        if strict or rest.lstrip(" ).").startswith("?") or _DENIED.match(rest[:80]):
            return None
        if not self.options and _NAME.match(rest):
            return None
        return chosen if closed or _AFTER.match(rest) or _REASON.match(rest.lstrip()) else None

    def _texts_at(self, rest: str) -> Selection | None:
        """Returns the option whose text follows a label, up to the end or the end of a sentence."""
        for piece in _pieces(rest.lstrip(" ).:,;-–—")):
            if found := self.texts.get(spelling(piece)):
                return found
        return None

    def _by_text(self, said: str, whole: bool) -> Selection | None:
        if not self.options:
            return None
        pieces = [said, *_TRUTH.findall(said[:9])] if whole else _pieces(said)
        return next((found for piece in pieces if (found := self.texts.get(spelling(piece)))), None)

    def _name(self, label: str) -> str:
        return (
            self._names.get(label.casefold(), label)
            if self.options
            else label.upper()
            if not self.numbers
            else str(int(label))
        )

    def _is_label(self, found: re.Match[str], said: str, line: bool) -> bool:
        """A small letter for a capital label stands alone or in brackets; "A" and "I" are words before other words."""
        label, rest = found["label"], said[found.end() :]
        boxed = bool(found["open"] and found["close"])
        if label != self._name(label) and not label.isdigit():
            return boxed or not rest.strip(" .,;:!?)") or (not line and bool(found["close"]))
        if found["close"] or label not in ("A", "I", "a", "i") or not re.match(r"\s+\w", rest):
            return True
        return self._goes_on(label, rest)

    def _goes_on(self, label: str, rest: str) -> bool:
        """Returns True where the words after "A" or "I" speak of a label: a reason, another label, its text."""
        words = rest.lstrip()
        joined = re.match(r"(?:and|or|oder|und|ou|et|vs|to|nor)\b", words) is not None
        return joined or _REASON.match(words) is not None or self._texts_at(rest) == frozenset({self._name(label)})

    def _is_joined(self, more: re.Match[str], said: str) -> bool:
        label, rest = more["label"], said[more.end() :]
        if label != self._name(label) and not label.isdigit() and not (more["open"] and more["close"]):
            return False
        return label not in ("A", "I", "a", "i") or not re.match(r"\s+(?!and\b|or\b|is\b|are\b)[a-z]", rest)

    def _together(self, labels: str, rest: str) -> bool:
        names = [self._name(label) for label in labels]
        in_order = bool(self.options) or names == sorted(names)  # without options, "ACID" is a word
        return labels.isupper() and in_order and len(set(names)) == len(names) and not rest.strip(" .,;:!)")


def _pieces(said: str) -> Iterator[str]:
    """Yields a text, its first sentence, and what stands before a reason."""
    said = said[: 4 * MAX_SAID]
    yield said
    if end := re.search(r"[.;]\s|[.,]?\s*\bbecause\b|,?\s*\bsince\b", said):
        yield said[: end.start()]


@lru_cache(maxsize=4096)
def labels_for(options: tuple[tuple[str, str], ...], numbers: bool, several: bool) -> Labels:
    """Returns the labels of a problem, kept for its other samples."""
    return Labels(options, numbers, several)


def narrow(text: str) -> str:
    """Returns text with full-width letters and stops as ASCII."""
    return text.translate(_WIDE) if not text.isascii() else text
