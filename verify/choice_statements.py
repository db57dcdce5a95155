"""Finds the choice that a completion states: the last statement counts, else the label of its first or last line.

Statements are boxes, ``<answer>`` tags, "the answer is …" (in ten languages and more), "the correct option is …",
"I choose …", "closest to option …", "… is correct" and "it is …". A statement that is turned ("if the answer is B",
"not B") states nothing. One that names several without choosing ("A or B") takes back what was stated before it. All
searches are linear: each pattern is bounded, and of a long text only the last statements are read.
"""

import re
from collections import deque

from sampling.boxed import MAX_ANSWER, boxed_answer
from verify.answers import MAX_TEXT, clean
from verify.labels import MAX_SAID, UNDECIDED, Labels, Selection, narrow, plain
from verify.special_tokens import after_thought

MAX_STATEMENTS = 300  # the last ones of a text
_GAP = 160  # characters before and after a key that belong to its statement
_EDGE = 50  # lines at either end of a text that are searched for labels

_SPECIAL = re.compile(r"<\|[^<>|\n]{1,40}\|>|</?s>|<eos>|<(?:start|end)_of_turn>")
_TURN_END = re.compile(r"<\|(?:im_end|endoftext|eot_id|end_of_text|eom_id|return)\|>|</s>|<eos>|<end_of_turn>")
_NEXT_QUESTION = re.compile(r"^(?:Question|Q|Problem)\b[ \t]{0,9}[0-9]{0,5}[ \t]{0,9}[:.]", re.MULTILINE)
_ANSWER = (
    r"answers?\b|(?:solution|response|conclusion)(?=\s{0,3}[:：]|\s{1,3}is\b)|r[ée]ponse\b|respuesta\b|resposta\b|risposta\b|antwort\b|l[öo]sung\b|ответ\w{0,2}\b|答案|答え|正解|"
    r"正确的?选项|정답|답(?=[은:])|الإجابة|الجواب|उत्तर|jawaban(?:nya)?\b|cevap\b|đáp án|উত্তর"
)
_RANKED = r"(?:correct|right|best|final|closest|appropriate|likely|suitable|accurate|chosen|my)"
_KEY = re.compile(
    rf"""(?P<box>\\(?:boxed|fbox)(?![A-Za-z]))
    |(?P<tag><answer>|\[answer\])
    |(?P<said>(?<![A-Za-z])(?:{_RANKED}\s{{1,9}}(?:options?|choices?|letters?|selections?|pick|statement|alternative)\b
              |{_ANSWER}))
    |(?P<pick>(?<![A-Za-z])(?:choose|chose|choosing|pick|select|selecting|go(?:ing)?\ with|opt(?:ing)?\ for|settle\ on
              )\b|选择?(?!项))
    |(?P<mention>(?<![A-Za-z])(?:options?|choices?)\b)
    |(?P<right>(?<=\s)(?:is|are)\s(?:(?:the|indeed|clearly|definitely|therefore|thus|also|only)\s){{0,2}}
               (?:correct|right|(?:best|most\s\w{{2,20}})\s(?:answer|option|choice))\b|是?正确)
    |(?P<turn>(?<![A-Za-z])(?:so|thus|hence|therefore|actually|wait|no|sorry|correction|i\ mean)\b[,:]?\s)
    |(?P<it>(?<![A-Za-z])(?:it|this|that)(?:['’]s|\s(?:is|must\sbe|should\sbe|has\sto\sbe|would\sbe))\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_COPULA = re.compile(
    r"\b(?:is|are|be|was|seems|appears|es|est|é|è|ist|sind|son|sont|adalah)\b|[:：=→是为為はは은]|это\b|[-–—](?=\s)",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:not|never|cannot|can|could|may|might|whether|if|or|choices|options|possible|wrong|incorrect|unlikely|hardly)\b"
    r"|n['’]t\b|不",
    re.IGNORECASE,
)
# What stands right before a key and turns it: "if the answer is B", "the wrong answer is B", "do not choose B".
_TURNED = re.compile(
    r"(?:\b(?:if|whether|suppose|assume|assuming|not|never|doubt|wrong|incorrect|false|neither|nor|unless|cannot|except|"
    r"avoid|reject)\b|n['’]t\b|不|并非|错误)[\s,:*_\"“]{0,5}"
    r"(?:(?:the|that|an?|my|your|correct|right|best|final|think|believe|say|be|is|it|have|to)\b[\s*_]{0,5}){0,6}\Z",
    re.IGNORECASE,
)
_BAD_CLAUSE = re.compile(
    r"\b(?:not|never|wrong|incorrect|false|except|neither|nor|eliminat\w{1,5}|ruled? out|if|whether|least)\b|"
    r"n['’]t\b|不|错",
    re.IGNORECASE,
)
_RELATES = re.compile(
    r"(?:\b(?:is|be|to|with|gives?|means|match(?:es|ing)?|equals?|indicates|supports?|namely|so|therefore|thus|hence)"
    r"|[:,→=])[\s*_]{0,5}(?:(?:the|correct|right|best)[\s*_]{1,5}){0,2}\Z",
    re.IGNORECASE,
)
_BEFORE_RIGHT = re.compile(
    r"(?:\A|[.!?,;:。，]|选项|\b(?:so|thus|therefore|hence|that|means|only|both|conclude|think|believe|say|options?|"
    r"choices?|answers?|letters?))[\s*_(\"“$]{0,5}\Z",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<![A-Za-z0-9])[(\[]?[A-Za-z0-9]")
_BOX_BETWEEN = re.compile(
    r"\s{0,5}\{(?:[^{}\n]|\{[^{}\n]{0,60}\}){0,80}\}[\s,;&$*]{0,9}(?P<word>and|or)?[\s,;&$*]{0,9}", re.IGNORECASE
)
_BUT = re.compile(r"\bnot\b(?P<not>.{1,40}?)(?:,|;)?\s{0,3}\b(?:but|rather|it is|it's)\b(?: rather)?", re.IGNORECASE)


def stated_choice(text: str, labels: Labels) -> Selection | None:
    """Returns the chosen labels, or None where the completion states no choice or an undecided one.

    What follows a next question that the text goes on with ("Question: …") counts only if nothing before it does.
    """
    text = narrow(_final_part(text[-MAX_TEXT:])).strip()
    next_question = _NEXT_QUESTION.search(text, 1)
    before = _choice_in(text[: next_question.start()], labels) if next_question else None
    chosen = before or _choice_in(text, labels)
    return None if chosen == UNDECIDED else chosen


def _final_part(text: str) -> str:
    """Returns what follows a thought, up to the end of the turn; "" where the thought is not finished."""
    text = after_thought(text).lstrip()
    if "<think>" in text:
        return ""
    end = _TURN_END.search(text, 1)
    return _SPECIAL.sub(" ", clean(text[: end.start()] if end else text))


def _choice_in(text: str, labels: Labels) -> Selection | None:
    keys = deque(_KEY.finditer(text), maxlen=MAX_STATEMENTS)
    while keys:
        key = keys.pop()
        chosen = _read_key(text, key, labels)
        if chosen is not None:
            chosen = _with_box_before(text, keys[-1], key, chosen, labels) if keys else chosen
            return chosen if _last_line(text, key.end(), labels) in (None, chosen) else UNDECIDED
    return _bare(text, labels)


def _last_line(text: str, after: int, labels: Labels) -> Selection | None:
    """Returns the labels that stand alone in the last line, if this line begins behind ``after``."""
    start = text.rfind("\n") + 1
    return labels.read(text[start : start + MAX_SAID], line=True, strict=True) if start > after else None


def _read_key(text: str, key: re.Match[str], labels: Labels) -> Selection | None:
    """Returns what one statement says: labels, UNDECIDED, or None."""
    kind = str(key.lastgroup)
    if kind == "box":
        return _boxed(text, key, labels)
    line = text[max(0, key.start() - _GAP) : key.start()].rpartition("\n")[2]
    if _TURNED.search(line[-80:]):
        return None
    said = _line_at(text, key.end())
    if kind == "said":
        return _said(text, key.end(), labels)
    if kind == "right":
        return None if said.startswith("?") else _before_right(line, labels)
    if kind == "tag":
        content = re.split(r"</answer>|\[/answer\]", said, maxsplit=1, flags=re.IGNORECASE)[0]
        return labels.read(content) if content.strip() else _on_next_line(text, key.end(), labels)
    clause = re.split(r"[.!?;]\s", line)[-1]
    if _BAD_CLAUSE.search(clause) or (kind == "mention" and not _RELATES.search(clause)):
        return None
    return labels.read(said, strict=kind in ("it", "turn"))


def _boxed(text: str, key: re.Match[str], labels: Labels) -> Selection | None:
    after = text.find("\\boxed", key.end(), key.end() + MAX_ANSWER)
    content = boxed_answer(text[key.start() : after if after >= 0 else key.end() + MAX_ANSWER + 2])
    return None if content is None else labels.read(content)


def _with_box_before(
    text: str, before: re.Match[str], key: re.Match[str], chosen: Selection, labels: Labels
) -> Selection:
    """Adds the labels of a box right before a box: "\\boxed{A} and \\boxed{C}" names two."""
    if before.lastgroup != "box" or key.lastgroup != "box":
        return chosen
    joined = _BOX_BETWEEN.fullmatch(text, before.end(), key.start())
    other = _boxed(text, before, labels) if joined else None
    if joined is None or other is None:
        return chosen
    return UNDECIDED if (joined["word"] or "").lower() == "or" else chosen | other


def _said(text: str, at: int, labels: Labels) -> Selection | None:
    """Returns what "answer" says: what stands after the first "is", ":" or "=" that a label follows, or at once."""
    said = _line_at(text, at)
    if not plain(said).strip(" :#-"):
        return _on_next_line(text, at, labels)
    for copula in list(_COPULA.finditer(said, 0, _GAP))[:6]:
        if _UNSURE.search(said, 0, copula.start()):
            return None
        piece = said[copula.end() :].lstrip(" :*_")
        if not plain(piece):
            return _on_next_line(text, at, labels)
        chosen = _denied(piece, labels) if piece[:4].lower() == "not " else labels.read(piece)
        if chosen is not None:
            return chosen
    return labels.read(said, strict=True) if said[:1] in " *([" else None


def _denied(piece: str, labels: Labels) -> Selection | None:
    """Returns B for "not A but B", UNDECIDED for "not A", None where no label is denied."""
    if but := _BUT.match(piece):
        return labels.read(piece[but.end() :])
    return None if labels.read(piece[4:]) is None else UNDECIDED


def _before_right(line: str, labels: Labels) -> Selection | None:
    """Returns the labels at the end of ``line`` that are said to be correct: "so options A and C [are correct]"."""
    line = line[-80:]
    for word in _WORD.finditer(line):
        before = line[: word.start()]
        clause = re.split(r"[.!?;,]\s", before)[-1]
        if _BEFORE_RIGHT.search(before) and not _BAD_CLAUSE.search(clause):
            chosen = labels.read(line[word.start() :], strict=True)
            if chosen is not None:
                return chosen
    return None


def _line_at(text: str, at: int) -> str:
    return text[at : at + MAX_SAID].partition("\n")[0]


def _on_next_line(text: str, at: int, labels: Labels) -> Selection | None:
    """Returns what the next line with words says, unless it and the line after it list options."""
    lines = [line for line in text[at : at + 2 * MAX_SAID].split("\n")[1:6] if plain(line)][:2]
    read = [labels.read(line, line=True) for line in lines]
    if not read or read[0] is None or (len(read) > 1 and read[1] is not None and read[1] != read[0]):
        return None
    return read[0]


def _bare(text: str, labels: Labels) -> Selection | None:
    """Returns the label at the head of the first or the last line; None where it is one of a list of options.

    In a list labels ascend, so a first label that a smaller one follows is no part of it, nor is a last one that a
    greater one precedes.
    """
    lines = [line for line in text.split("\n") if line.strip(" \t`") and "\\boxed" not in line]
    lines = lines if len(lines) <= 2 * _EDGE else lines[:_EDGE] + lines[-_EDGE:]
    read = [labels.read(line[:MAX_SAID], line=True, strict=labels.numbers) for line in lines]
    heads = [chosen for chosen in read if chosen is not None]
    if not heads:
        return None
    if len(heads) == 1:
        return heads[0] if heads[0] in (read[0], read[-1]) else None
    at_first = read[0] if read[0] and labels.place(heads[1]) <= labels.place(heads[0]) else None
    at_last = read[-1] if read[-1] and labels.place(heads[-1]) <= labels.place(heads[-2]) else None
    return at_first or at_last if None in (at_first, at_last) or at_first == at_last else None
