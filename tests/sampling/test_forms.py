"""Structured outputs that cannot be read are found without an engine; what some engine takes is left alone."""

from typing import Any

import pytest

from sampling.settings import StructuredOutputs
from sampling.settings.forms import form_trouble
from tests.support.cost import cpu_below

BAD: list[tuple[str, Any, str]] = [
    ("regex", "(a|b", "no regular expression (missing ), unterminated subpattern at character 1)"),
    ("regex", "[0-9", "no regular expression (unterminated character set at character 1)"),
    ("regex", "*a", "nothing to repeat at character 1"),
    ("regex", "a)", "unbalanced parenthesis at character 2"),
    ("regex", "[z-a]", "bad character range z-a"),
    ("regex", "a{5,2}", "min repeat greater than max repeat"),
    ("regex", "a\\", "bad escape (end of pattern)"),
    ("json", {"type": "objekt"}, "no JSON Schema ($.type: 'objekt' is not valid"),
    ("json", {"type": "object", "required": "a"}, "no JSON Schema ($.required: 'a' is not of type 'array')"),
    ("json", {"properties": {"a": {"minimum": "1"}}}, "no JSON Schema ($.properties.a.minimum: '1' is not of type"),
    ("json", {"$ref": "#/$defs/none", "$defs": {}}, "no JSON Schema ($ref '#/$defs/none' points nowhere)"),
    ("json", {"items": [{"anyOf": []}]}, "no JSON Schema ($.items"),
    ("grammar", "yes or no", "no grammar (no rule `root ::= …`, and none `start: …` of Lark)"),
    ("grammar", 'answer ::= "yes" | "no"', "no grammar (no rule is called root; there are: answer)"),
    ("grammar", 'root ::= "yes | "no"', 'no grammar (line 1: " is never closed)'),
    ("grammar", 'root ::= answer "."\nanswer ::= ("yes" | "no"', "no grammar (the last ( is never closed)"),
    ("grammar", 'root ::= ("yes"\nother ::= "no"', "no grammar (line 2: ( is never closed)"),
    ("grammar", 'root ::= "yes")', "no grammar (line 1: ) closes nothing)"),
    ("grammar", "# so\nroot ::= [0-9", "no grammar (line 2: [ is never closed)"),
    ("grammar", 'root ::= "a" anser\nanswer ::= "b"', "no grammar (line 1: no rule is called anser)"),
]
GOOD: list[tuple[str, Any]] = [
    ("regex", "[0-9]{1,3}"),
    ("regex", r"\p{L}+"),  # RE2 and Rust
    ("regex", r"(?<year>\d{4})"),
    ("regex", r"\u{1F600}|\x41"),
    ("regex", r"(?=a)a"),  # Python
    ("regex", "[[:alpha:]]+"),
    ("regex", "a{2}{3}"),  # Rust
    ("regex", r"\h"),  # ECMAScript
    ("json", {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}),
    ("json", {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}),
    ("json", {"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"enum": [1, "$ref"]}}}),
    ("json", {"type": "number", "minimum": 0, "exclusiveMinimum": True}),  # draft 4
    ("json", {"items": [{"type": "string"}, {"type": "integer"}]}),  # draft 7
    ("json", {}),
    ("grammar", 'root ::= "yes" | "no"'),
    ("grammar", '# an answer (in EBNF\nroot ::= ws [0-9"\\]]+ (ws "(")? {1,2} other-1\nws ::= " "*\nother-1 ::= "x"'),
    ("grammar", 'start: "yes" | "no"\n'),
    ("grammar", "?start.2: A\nA: /[a-z]+/\n"),
    ("grammar", 'root ::= TagDispatch(("<f>", other), loop_after_dispatch=false)\nother ::= "x"'),
]


@pytest.mark.parametrize(("key", "value", "said"), BAD)
def test_a_form_that_cannot_be_read_is_told(key: str, value: Any, said: str) -> None:
    found = form_trouble(StructuredOutputs.model_validate({key: value})) or ""
    assert found.startswith(f"structured_outputs.{key}: no ") and said in found
    assert "\n" not in found


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_a_form_that_some_engine_takes_is_left_alone(key: str, value: Any) -> None:
    assert form_trouble(StructuredOutputs.model_validate({key: value})) is None


def test_texts_are_no_matter() -> None:
    assert form_trouble(StructuredOutputs(choice=("(", "["))) is None


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, value, _ in BAD])
def test_what_is_refused_vllms_own_parser_refuses_too(key: str, value: Any) -> None:
    parser = pytest.importorskip("llguidance")
    if value in ("a\\", {"items": [{"anyOf": []}]}):
        pytest.skip("it reads these as something that nobody can have meant")
    with pytest.raises(ValueError):
        made = parser.LLMatcher.grammar_from_json_schema(value) if key == "json" else parser.grammar_from(key, value)
        if said := parser.LLMatcher.validate_grammar(made, None):
            raise ValueError(said)


def test_a_long_grammar_is_read_in_linear_time() -> None:
    with cpu_below(2):
        form_trouble(StructuredOutputs(grammar="root ::= " + '"a" (' * 20_000))
        form_trouble(StructuredOutputs(grammar="root ::= a\n" + "a ::= b\n" * 20_000))
        form_trouble(StructuredOutputs(regex="(" * 5_000))
