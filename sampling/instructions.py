"""The reference of an ``ifeval`` problem: instructions by their published ids, with their arguments."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from sampling.validate import Plain

RELATIONS = ("less than", "at least")
# Arguments of each published instruction, with their types.
ARGUMENTS: Mapping[str, Mapping[str, type]] = {
    "language:response_language": {"language": str},
    "keywords:existence": {"keywords": list},
    "keywords:frequency": {"keyword": str, "frequency": int, "relation": str},
    "keywords:forbidden_words": {"forbidden_words": list},
    "keywords:letter_frequency": {"letter": str, "let_frequency": int, "let_relation": str},
    "length_constraints:number_paragraphs": {"num_paragraphs": int},
    "length_constraints:number_sentences": {"num_sentences": int, "relation": str},
    "length_constraints:number_words": {"num_words": int, "relation": str},
    "length_constraints:nth_paragraph_first_word": {"num_paragraphs": int, "nth_paragraph": int, "first_word": str},
    "detectable_content:number_placeholders": {"num_placeholders": int},
    "detectable_content:postscript": {"postscript_marker": str},
    "detectable_format:number_bullet_lists": {"num_bullets": int},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": int},
    "detectable_format:multiple_sections": {"section_spliter": str, "num_sections": int},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": str},
    "change_case:capital_word_frequency": {"capital_frequency": int, "capital_relation": str},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "startend:end_checker": {"end_phrase": str},
    "startend:quotation": {},
    "punctuation:no_comma": {},
}
# Languages that Troop tells apart, by the codes that IFEval uses.
_CODES = "ar bg bn de el en es fa fi fr gu he hi id it ja kn ko ml mr ne nl pa pl pt ru sv sw ta te th tr uk ur vi zh"
LANGUAGES = frozenset(_CODES.split())


class IfevalReference(Plain):
    """Instructions that the completion must follow, as IFEval's rows give them."""

    instruction_id_list: tuple[str, ...] = Field(min_length=1)
    """Published ids of the instructions. Example: `["punctuation:no_comma", "length_constraints:number_words"]`."""

    kwargs: tuple[dict[str, Any], ...] = ()
    """Arguments of each instruction, in the same order; null values count as not given.

    Example: `[{}, {"num_words": 100, "relation": "at least"}]`. Default: no instruction has any.
    """

    loose: bool = False
    """Also accepts a completion that follows an instruction without its first or last line or its asterisks."""

    @model_validator(mode="after")
    def _known_and_complete(self) -> "IfevalReference":
        if self.kwargs and len(self.kwargs) != len(self.instruction_id_list):
            raise ValueError(f"kwargs: {len(self.kwargs)} for {len(self.instruction_id_list)} instructions")
        for name, given in self.instructions:
            if trouble := _trouble(name, given):
                raise ValueError(trouble)
        return self

    @property
    def instructions(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Each instruction's id with the arguments that are given."""
        kwargs = self.kwargs or ({},) * len(self.instruction_id_list)
        given = ({name: value for name, value in each.items() if value is not None} for each in kwargs)
        return tuple(zip(self.instruction_id_list, given, strict=True))


def _trouble(name: str, given: Mapping[str, Any]) -> str:
    if name not in ARGUMENTS:
        return f"instruction {name!r}: unknown; allowed: {', '.join(ARGUMENTS)}"
    for argument, kind in ARGUMENTS[name].items():
        value = given.get(argument)
        if type(value) is not kind or (kind is not int and not value):
            return f"instruction {name}: {argument} is needed, a {_KINDS[kind]}, got {value!r}"
        if isinstance(value, list) and not all(isinstance(part, str) and part for part in value):
            return f"instruction {name}: {argument}: texts are needed"
        if argument == "language" and value not in LANGUAGES:
            return f"instruction {name}: language: allowed: {', '.join(sorted(LANGUAGES))}; got {value!r}"
        if argument.endswith("relation") and value not in RELATIONS:
            return f"instruction {name}: {argument}: allowed: {', '.join(RELATIONS)}; got {value!r}"
    unknown = sorted(given.keys() - ARGUMENTS[name].keys())
    return f"instruction {name}: unknown argument {unknown[0]!r}" if unknown else ""


_KINDS = {list: "list of texts", str: "text", int: "whole number"}
