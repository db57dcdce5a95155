"""Answers that prose states ("the answer is 18"), in fourteen languages, and the last value of a text.

All searches are linear and bounded.
"""

import re
from collections import deque
from itertools import islice

from sampling.boxed import MAX_ANSWER, boxed_answer

MAX_STATED = 20  # statements from the end that are read for one with a value
_WORDS = (
    r"\banswers?\b|\brespuesta\b|\br[ée]ponse\b|\bresposta\b|\bответ\b|\bantwort\b|\brisposta\b|\bjawaban(?:nya)?\b"
    r"|答案|答え|उत्तर|উত্তর|الجواب|الإجابة|الاجابة|جواب|정답|답(?=[은:：])|जवाब|\bđáp (?:án|số)\b|\bвідповідь\b"
    r"|\bodpowied[zź]\b|\bantwoord\b|\bcevap\b|คำตอบ|\bsvar(?:et)?\b"
)
_IS = (
    r":|：|=|→|⇒|—|–|is\b|are\b|was\b|equals\b|(?:will|would|should|must) be\b|es\b|est\b|é\b|ist\b|è\b"
    r"|adalah\b|это\b|равен\b|lautet\b|là\b|är\b|to\b|是|为|為|は|है|हैं|হল|হলো|هو|هي|ہے|은|คือ"
)
_STATED = re.compile(
    rf"(?:{_WORDS}|^[ \t*]{{0,4}}A(?=:))(?:\*\*)?(?:[ \t]+(?:final|finale)\b)?(?:\*\*)?"
    rf"[ \t]{{0,3}}(?:{_IS})(?:\*\*)?[ \t]*[:：]?(?:\*\*)?"
    r"|(?:उत्तर|উত্তর|جواب)[ \t]+(?=[$0-9\\])",
    re.IGNORECASE | re.MULTILINE,
)
# A statement about another answer than the model's own
_OTHERS = re.compile(
    r"\b(?:other|wrong|incorrect|previous|earlier|initial|first|old|expected)[ \t]{1,3}\Z", re.IGNORECASE
)
_COMMA_LANGUAGES = re.compile(
    r"respuesta|r[ée]ponse|resposta|ответ|antwort|risposta|antwoord|svar|відповідь", re.IGNORECASE
)
_DECIMAL_COMMA = re.compile(r"(\s*\$?-?[0-9]{1,15}),([0-9]{1,2}|[0-9]{4,15})(?![0-9,])")
# Arithmetic up to its last equal sign: "9 + 9 = 18 dollars" says 18
_CHAIN = re.compile(r"\s*(?=[^=\n]{1,100}=)(?:[-+*/×·÷^()0-9.,$%= \t]|\\times|\\cdot){1,200}=[ \t]*(?=[-$£€¥₹.0-9])")
_NEGATED = re.compile(
    r"\b(?:not|isn't)[ \t]+(?:equal to[ \t]+)?\$?-?[0-9][0-9,]*(?:\.[0-9]+)?\$?(?:,?[ \t]+but(?:[ \t]+rather)?)?"
)
_FILLER = re.compile(
    r"\s*(?:(?:the|a|an|simply|just|exactly|approximately|about|around|roughly|thus|then|therefore|now|also|actually"
    r"|equal|to|on|given|by|point|number|value|ordered|triple|coordinates|pair|vector|matrix|set|interval|function"
    r"|expression|fraction|option)\b[ \t]*)*",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\s*(?:correct|right|wrong|incorrect|obtained|because|always|never|verified|consistent|reasonable|positive|negative"
    r"|found|based|in\b|as\b|not\b)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\.(?=\s|$|\*)|\n|。|।|۔")
_POWER = r"(?:\s?(?:[*×x·]|\\times)\s?10(?=\^))?(?:\^\{?-?[0-9]{1,9}\}?)?"
_NUMBER = re.compile(
    rf"\^\{{?-?[0-9]{{1,9}}|(?P<value>(?<![\w.)}}])-?\$?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?{_POWER}"
    rf"|[0-9][0-9,]*(?:\.[0-9]+)?{_POWER})"
)
_SCALE = re.compile(r"\s?(?:thousand|million|billion|trillion|percent|hundred|dozen)\b")
# Words after a number that make it another one
_CHANGES = re.compile(r"\s?\(?(?:plus|minus|times|divided|over|and a|squared|cubed|factorial|to|dozen|point|mod)\b")
_OPERATOR = re.compile(r"\s?[-+*/×·^=](?=\s?[0-9(\\])")
# Words right before a number that make it another one
_MADE_OTHER = re.compile(
    r"\b(?:half|twice|double|triple|thrice|quarter|third|over|under|almost|nearly|below|above|up to|root|cube"
    r"|reciprocal|opposite|inverse|multiple|factorial|log|minus|negative|times|plus)"
    r"(?:[ \t](?:of|the|a|an|as|than)\b){0,3}[ \t$]{0,3}\Z",
    re.IGNORECASE,
)
_MINUS_WORD = re.compile(r"(?:minus|negative)[ \t]{1,3}(?=\$?[0-9])", re.IGNORECASE)
# What is between two values of one name: "x = 3 and x = 7"
_SAME_NAME = re.compile(r"[\s,$]*\b(?:or|and)\b[\s$]*[a-z]\s?=\s?\$?")
_DOUBT = re.compile(r"\b(?:either|between|maybe|perhaps|possibly|at least|at most|more than|less than|greater than)\b")
_OTHER_SCRIPT = re.compile(r"[\u0400-\u1fff\u3040-\ud7ff\uf900-\ufdff]")
_SPAN = (
    r"(?<!\\)\$\$(?P<display>[^$]{1,1000})\$\$|(?<!\\)\$(?P<dollars>(?:\\.|[^$\n\\]){1,300})\$(?![0-9])"
    r"|\\begin\{(?:equation|align|gather)\*?\}(?P<rows>(?:[^\\]|\\(?!end\b)){1,1000})\\end\{(?:equation|align|gather)\*?\}"
    r"|\\\((?P<round>(?:[^\n\\]|\\[^()\n]){1,300})\\\)|\\\[(?P<square>(?:[^\\]|\\[^\[\]]){1,1000})\\\]"
)
_ALIGNED = re.compile(r"\\(?:begin|end)\{(?:aligned|split)\}")
MATH_SPAN = re.compile(_SPAN)
_LEADING = re.compile(
    r"(?:\*\*)?(?P<value>[0-9]{1,2}:[0-9]{2}(?:\s?[AaPp]\.?[Mm]\b\.?)?|[-+−]?[$£€¥₹]?[-+−]?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?(?:\s?\\?%|\\?\$)?|[½⅓⅔¼¾⅛⅜⅝⅞⅕⅖⅗⅘⅙⅚]"
    r"|[(\[{][^()\[\]{}]{1,200}[)\]}])(?:\*\*)?(?![A-Za-z0-9^*/+=(−-]|\s*[-+*/^=×·]\s?[0-9A-Za-z\\(])"
)
_ASIDE = re.compile(r"(?<=[0-9}]) \((?:or |i\.e\.,? |= ?|≈ ?|about |approximately )?\$?[0-9][0-9.,/ +*×=-]{0,30}%?\)\Z")
_OR = re.compile(r"\s*,?\s*(?:or|and)\s+(?=[-$0-9\\(\[])")
_COMMA = re.compile(r"\s*,\s*(?=[-$0-9\\(\[])")
_HEDGE = re.compile(r"\s*,?\s*or\b")
_NAME = re.compile(
    r"(?:\*\*)?(?P<name>[A-Z][a-z]{2,20}|yes|no|true|false|even|odd|zero|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|eleven|twelve|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-[a-z]{3,5})?|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen)(?:\*\*)?(?=[,.;!]|\s*$)"
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_NO_PROSE = re.compile(r"\\(?:begin|end|text|textbf|mathrm|mbox)\s{0,3}\{[^{}]{0,200}\}")
MATH_WORDS = frozenset({"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "or", "and", "infty", "infinity"})


def stated_answer(text: str, *, first: bool = False) -> str | None:
    """Returns the value of the last (or first) statement "the answer is …" that has one; "not 20 but 18" gives 18.

    Where no statement begins with a value, the last one gives the first formula or number of its sentence.
    """
    text = without_negated(text)
    statements = (
        found for found in _STATED.finditer(text) if not _OTHERS.search(text, max(0, found.start() - 12), found.start())
    )
    rest = [_said(text, found) for found in (islice(statements, 1) if first else deque(statements, MAX_STATED))]
    for said in reversed(rest):
        if (value := _value(said)) is not None:
            return value
    return next((value for said in reversed(rest) if (value := _somewhere(said)) is not None), None)


def _said(text: str, found: re.Match[str]) -> str:
    """Returns what follows a statement's "is"; a decimal comma as a point where the language writes commas."""
    said = _minus(text[found.end() : found.end() + MAX_ANSWER].lstrip())
    return (
        _DECIMAL_COMMA.sub(r"\1.\2", said, count=1)
        if _COMMA_LANGUAGES.match(found[0]) and _DECIMAL_COMMA.match(said)
        else said
    )


def _minus(said: str) -> str:
    """Returns ``-27`` for "minus 27" at the start."""
    word = _MINUS_WORD.match(said)
    return f"-{said[word.end() :]}" if word else said


def without_negated(text: str) -> str:
    """Returns ``text`` without numbers that it says are not the answer."""
    return _NEGATED.sub(" ", text) if "not" in text or "isn't" in text else text


def _sentence(said: str) -> str:
    end = _SENTENCE_END.search(said)
    sentence = (said[: end.start()] if end else said).rstrip()
    return sentence.removesuffix("**") if sentence.count("**") % 2 else sentence


def _value(said: str) -> str | None:
    """Returns the formula, number or name with which the rest of a statement begins."""
    if span := MATH_SPAN.match(said):
        return _listed(said, content_of(span), span.end())
    sentence = _sentence(said)
    if boxed := boxed_answer(sentence):
        return boxed
    if _REMARK.match(sentence) or not sentence.strip():
        return None
    sentence = _ASIDE.sub("", sentence)
    if _all_mathematics(sentence):
        return sentence
    if chain := _CHAIN.match(sentence):
        last = _LEADING.match(sentence, chain.end())
        return last["value"].rstrip(",") if last and not _CHANGES.match(sentence, last.end()) else sentence
    start = _FILLER.match(sentence)
    at = start.end() if start else 0
    if span := MATH_SPAN.match(said, at):
        return _listed(said, content_of(span), span.end())
    if number := _LEADING.match(sentence, at):
        if _CHANGES.match(sentence, number.end()):
            return sentence
        scale = _SCALE.match(sentence, number.end())
        value = number["value"].rstrip(",") + (scale[0] if scale else "")
        return _listed(sentence, value, (scale or number).end())
    if name := _NAME.match(sentence, at):
        return name["name"]
    return sentence[at:] if at and _all_mathematics(sentence[at:]) and sentence[at:].strip() else None


def _all_mathematics(sentence: str) -> bool:
    """Returns True for a sentence without words of prose, and without a second formula after the first."""
    if MATH_SPAN.search(sentence) or _OTHER_SCRIPT.search(sentence) or re.search(r"\bi\.e\b|\be\.g\b", sentence):
        return False
    return all(word.lower() in MATH_WORDS for word in words(sentence))


def _listed(said: str, value: str, at: int) -> str:
    """Returns a value with the values that follow it after "or", "and" or commas; a half-said "or" spoils it."""
    values, either = [value], False
    while (join := _OR.match(said, at)) or (join := _COMMA.match(said, at)):
        follower = MATH_SPAN.match(said, join.end()) or _LEADING.match(said, join.end())
        if not follower:
            break
        either = either or "or" in join[0]
        values.append(content_of(follower) if follower.re is MATH_SPAN else follower["value"].rstrip(","))
        at = follower.end()
    ended = _SENTENCE_END.match(said, at) or not said[at:].strip(" .*")
    if len(values) > 1 and (ended or either):
        return ", ".join(values)
    return said[:MAX_ANSWER] if _HEDGE.match(said, at) else value


def _somewhere(said: str) -> str | None:
    """Returns the first formula or number of a statement's sentence."""
    sentence = _sentence(said)
    if _REMARK.match(sentence):
        return None
    if _DOUBT.search(sentence):
        return sentence
    if span := MATH_SPAN.search(sentence):
        return content_of(span)
    number = next((found for found in _NUMBER.finditer(sentence) if found["value"]), None)
    if number is None or "\\" in sentence:
        return None
    if _MADE_OTHER.search(sentence, max(0, number.start() - 40), number.start()):
        return sentence
    if _CHANGES.match(sentence, number.end()) or _OPERATOR.match(sentence, number.end()):
        return sentence
    scale = _SCALE.match(sentence, number.end())
    return number["value"].rstrip(",") + (scale[0] if scale else "")


def last_value(text: str) -> str | None:
    """Returns the last number or the last formula, whichever ends later; for a number in a formula, the formula."""
    text = without_negated(text)
    number = deque((number for number in _NUMBER.finditer(text) if number["value"]), maxlen=2)
    spans = deque((span for span in MATH_SPAN.finditer(text) if len(words(span[0])) <= 1), maxlen=2)
    if spans and (not number or spans[-1].end() >= number[-1].end()):
        joined = len(spans) > 1 and text[spans[0].end() : spans[1].start()].strip(" ,") in ("or", "and")
        return " , ".join(map(content_of, spans)) if joined else content_of(spans[-1])
    if not number:
        return None
    scale = _SCALE.match(text, number[-1].end())
    value = number[-1]["value"].rstrip(",") + (scale[0] if scale else "")
    between = text[number[0].end() : number[-1].start()] if len(number) > 1 else ""
    if between.strip(" ,*") == "or" or _SAME_NAME.fullmatch(between[:40]):
        return f"{number[0]['value']} or {value}"
    return value


def content_of(span: re.Match[str]) -> str:
    """Returns what is between the delimiters of a formula; rows that go on with ``&=`` make one chain."""
    content = next(content for content in span.groups() if content is not None).strip()
    inner = _ALIGNED.sub("", content)
    rows = [row.strip() for row in inner.split("\\\\")] if "&" in inner else []
    if rows and all(row.lstrip("& ").startswith("=") for row in rows[1:] if row):
        return " ".join(row.replace("&", "") for row in rows).strip()
    return content


def words(text: str) -> list[str]:
    """Returns the words of prose in ``text``, without the names of LaTeX commands."""
    return _WORD.findall(_NO_PROSE.sub("", text))
