"""The verifier ``ifeval``: rules of instruction following, by the ids and in the meaning that IFEval publishes.

All rules are linear in the text: they search for fixed words, and go line by line where something has to be closed.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from sampling.instructions import IfevalReference
from sampling.problems import Problem
from verify.special_tokens import after_thought
from verify.verdict import Status, Verdict

MAX_TEXT = 200_000  # characters; a longer answer is not judged
Arguments = dict[str, Any]


class IfevalVerifier:
    """Passes a completion that follows all instructions; its score is the share that it follows."""

    version = "ifeval/1"

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, IfevalReference)
        text = after_thought(completion).strip("\n")
        if not text.strip() or len(text) > MAX_TEXT:
            return Verdict(
                Status.INVALID, "no answer" if len(text) <= MAX_TEXT else f"more than {MAX_TEXT:,} characters"
            )
        texts = list(variants(text)) if reference.loose else [text]
        broken = [
            name
            for name, arguments in reference.instructions
            if not any(each.strip() and RULES[name](each, arguments) for each in texts)
        ]
        score = 1 - len(broken) / len(reference.instructions)
        verdict = Verdict(Status.FAIL, f"not followed: {', '.join(broken)}") if broken else Verdict(Status.PASS)
        return replace(verdict, score=score)

    def close(self) -> None:
        """Does nothing: this verifier owns no process."""


def variants(text: str) -> Iterator[str]:
    """Yields the text and what is left without its first line, its last line, both; each also without asterisks."""
    lines = text.split("\n")
    for kept in (lines, lines[1:], lines[:-1], lines[1:-1]):
        shown = "\n".join(kept).strip()
        yield from (shown, shown.replace("*", ""))


def _compare(count: int, relation: str, wanted: int) -> bool:
    return count < wanted if relation == "less than" else count >= wanted


def _existence(text: str, given: Arguments) -> bool:
    return all(word.casefold() in text.casefold() for word in given["keywords"])


def _frequency(text: str, given: Arguments) -> bool:
    return _compare(text.casefold().count(given["keyword"].casefold()), given["relation"], given["frequency"])


def _forbidden_words(text: str, given: Arguments) -> bool:
    return not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.I) for word in given["forbidden_words"])


def _letter_frequency(text: str, given: Arguments) -> bool:
    return _compare(text.lower().count(given["letter"].lower()), given["let_relation"], given["let_frequency"])


def _number_paragraphs(text: str, given: Arguments) -> bool:
    """Counts paragraphs between dividers ``***``; one between two dividers must not be empty."""
    first, *middle = text.split("***")
    last = [middle.pop()] if middle else []
    full = [part for part in (first, *last) if part.strip()]
    return all(part.strip() for part in middle) and len(full) + len(middle) == int(given["num_paragraphs"])


def _number_words(text: str, given: Arguments) -> bool:
    return _compare(len(re.findall(r"\w+", text)), given["relation"], given["num_words"])


def _nth_paragraph_first_word(text: str, given: Arguments) -> bool:
    """Takes paragraphs as what empty lines divide; the word ends at its first stop or quotation mark."""
    paragraphs = text.split("\n\n")
    full, at = sum(bool(part.strip()) for part in paragraphs), given["nth_paragraph"]
    if not 1 <= at <= full or not (words := paragraphs[at - 1].split()):
        return False
    word = re.split(r"[.,?!'\"]", words[0].lstrip("'\""), maxsplit=1)[0]
    return full == int(given["num_paragraphs"]) and word.lower() == str(given["first_word"]).lower()


def _number_placeholders(text: str, given: Arguments) -> bool:
    count = 0
    for line in text.split("\n"):
        at = line.find("[")
        while at >= 0 and (end := line.find("]", at)) >= 0:
            count, at = count + 1, line.find("[", end)
    return count >= int(given["num_placeholders"])


def _postscript(text: str, given: Arguments) -> bool:
    marker = given["postscript_marker"].lower()
    known = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}
    return re.search(known.get(marker, re.escape(marker)), text.lower()) is not None


def _number_bullet_lists(text: str, given: Arguments) -> bool:
    """Counts lines that begin with a hyphen, or with just one asterisk."""
    lines = [line.lstrip() for line in text.split("\n")]
    bullets = [line for line in lines if line[:1] == "-" or (line[:1] == "*" and line[1:2] not in ("", "*"))]
    return len(bullets) == int(given["num_bullets"])


def _constrained_response(text: str, given: Arguments) -> bool:
    return any(f"My answer is {said}." in text for said in ("yes", "no", "maybe"))


def _number_highlighted_sections(text: str, given: Arguments) -> bool:
    """Counts ``*words*`` and ``**words**`` within a line; of ``**words**`` the inner pair counts once."""
    single = [found for found in re.findall(r"\*[^\n*]*\*", text) if found.strip("*").strip()]
    double = [found for found in re.findall(r"\*\*[^\n*]*\*\*", text) if found[2:-2].strip()]
    return len(single) + len(double) >= int(given["num_highlights"])


def _multiple_sections(text: str, given: Arguments) -> bool:
    sections = re.findall(rf"{re.escape(given['section_spliter'])}\s?[0-9]+", text)
    return len(sections) >= int(given["num_sections"])


def _json_format(text: str, given: Arguments) -> bool:
    text = text.strip()
    for mark in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(mark)
    try:
        json.loads(text.removesuffix("```").strip(), parse_int=float)
    except (ValueError, RecursionError):
        return False
    return True


def _title(text: str, given: Arguments) -> bool:
    """Finds ``<<words>>`` within a line."""
    for line in text.split("\n"):
        inner = line.partition("<<")[2].rpartition(">>")[0]
        if inner.strip("<> \t"):
            return True
    return False


def _two_responses(text: str, given: Arguments) -> bool:
    first, *middle = text.split("******")
    parts = [part.strip() for part in (first, *middle)]
    if not all(parts[1:-1]):
        return False
    full = [part for part in parts if part]
    return len(full) == 2 and all(left != right for left, right in pairwise(full))


def _repeat_prompt(text: str, given: Arguments) -> bool:
    return text.strip().lower().startswith(given["prompt_to_repeat"].strip().lower())


def _end_checker(text: str, given: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(given["end_phrase"].strip().lower())


def _quotation(text: str, given: Arguments) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def _no_comma(text: str, given: Arguments) -> bool:
    return "," not in text


RULES: dict[str, Callable[[str, Arguments], bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_words": _number_words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "detectable_content:number_placeholders": _number_placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _number_bullet_lists,
    "detectable_format:constrained_response": _constrained_response,
    "detectable_format:number_highlighted_sections": _number_highlighted_sections,
    "detectable_format:multiple_sections": _multiple_sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end_checker,
    "startend:quotation": _quotation,
    "punctuation:no_comma": _no_comma,
}
