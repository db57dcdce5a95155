"""JSON in a completion: where it is found, equal values, schemas, bad references, hostile texts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.errors import BadInput
from sampling.formats import JsonReference
from sampling.problems import Problem
from sampling.validate import parse
from tests.support.cost import cpu_below
from verify.json_value import JsonVerifier
from verify.verdict import Status


def status(text: str, **reference: Any) -> Status:
    asked = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "json", "reference": reference})
    return JsonVerifier().verify(asked, text).status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, 2.5], "b": null}', "pass"),
        ('{"b": null, "a": [1.0, 2.50]}', "pass"),
        ('Here:\n```json\n{"a": [1, 2.5], "b": null}\n```\nDone {}.', "pass"),
        ('```\n{"a": [1, 2.5], "b": null}\n```', "pass"),
        ('It is {"a": [1, 2.5], "b": null}, I think.', "pass"),
        ('First {"a": 1}, then {"a": [1, 2.5], "b": null}.', "pass"),
        ('<think>{"a": 1}</think>{"a": [1, 2.5], "b": null}', "pass"),
        ('{"a": [2.5, 1], "b": null}', "fail"),
        ('{"a": [1, 2.5]}', "fail"),
        ('{"a": [true, 2.5], "b": null}', "fail"),
        ('{"a": [1, 2.5], "b": null, "c": 0}', "fail"),
        ('{"a": ["1", 2.5], "b": null}', "fail"),
        ('{"a": [1, 2.5000000000000000001], "b": null}', "fail"),
        ('{"a": [1, 2.5], "b": null} and then {"a": 1}', "fail"),
        ('{"a": 0, "a": [1, 2.5], "b": null}', "fail"),
        ("```json\nnothing\n```\n" + '{"a": [1, 2.5], "b": null}', "invalid"),
        ('{"a": NaN}', "invalid"),
        ("no JSON", "invalid"),
        ("", "invalid"),
        ('{"a": [1, 2.5], "b": null', "fail"),
    ],
)
def test_equal_values(text: str, expected: str) -> None:
    assert status(text, answer={"a": [1, 2.5], "b": None}) == expected


def test_scalars_count_where_they_are_the_whole_text() -> None:
    assert status("18", answer=18) is Status.PASS
    assert status("the answer is 18", answer=18) is Status.INVALID
    assert status("null", answer=None) is Status.PASS
    assert status("1e400", answer=1) is Status.FAIL
    assert status("1" * 5_000, answer=1) is Status.INVALID


SCHEMA = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 1]}, "maxItems": 2},
        "kind": {"anyOf": [{"const": "x"}, {"type": "null"}]},
        "odd": {"not": {"type": "number"}},
        "one": {"oneOf": [{"minimum": 5}, {"maximum": 6}]},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"name": "Ann", "age": 3}', True),
        ('{"name": "Ann", "age": 3.0, "tags": ["a", 1.0], "kind": null, "odd": "1", "one": 9}', True),
        ('{"name": "Ann"}', False),
        ('{"name": "", "age": 3}', False),
        ('{"name": "Annabel", "age": 3}', False),
        ('{"name": "Ann", "age": 3.5}', False),
        ('{"name": "Ann", "age": -1}', False),
        ('{"name": "Ann", "age": 150}', False),
        ('{"name": "Ann", "age": true}', False),
        ('{"name": "Ann", "age": 3, "tags": ["c"]}', False),
        ('{"name": "Ann", "age": 3, "tags": [true]}', False),
        ('{"name": "Ann", "age": 3, "tags": ["a", "a", "a"]}', False),
        ('{"name": "Ann", "age": 3, "kind": "y"}', False),
        ('{"name": "Ann", "age": 3, "odd": 1}', False),
        ('{"name": "Ann", "age": 3, "one": 5.5}', False),
        ('{"name": "Ann", "age": 3, "more": 1}', False),
        ("[1]", False),
    ],
)
def test_schemas(text: str, right: bool) -> None:
    assert (status(text, json_schema=SCHEMA) is Status.PASS) == right


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({}, "one of answer, json_schema is needed"),
        ({"answer": 1, "json_schema": {}}, "exactly one of answer, json_schema is needed, got both"),
        (
            {"json_schema": {"pattern": "a+"}},
            "json_schema.pattern: unknown keyword; allowed: additionalProperties, allOf",
        ),
        ({"json_schema": {"items": {"$ref": "#"}}}, "json_schema.items.$ref: unknown keyword"),
        ({"json_schema": {"type": "text"}}, "json_schema.type: allowed: object, array, string"),
        ({"json_schema": {"properties": {"a": 1}}}, "json_schema.properties.a: a schema is a mapping, true or false"),
        ({"json_schema": {"minimum": "1"}}, "json_schema.minimum: wrong value"),
        ({"json_schema": {"anyOf": []}}, "json_schema.anyOf: wrong value"),
    ],
)
def test_bad_references_are_refused_in_one_line(reference: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        parse(JsonReference, reference, "here")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_reference_survives_its_storing() -> None:
    for data in ({"answer": None}, {"answer": {"a": 1}}, {"json_schema": SCHEMA}):
        stored = JsonReference.model_validate(data).model_dump(mode="json")
        assert JsonReference.model_validate(stored) == JsonReference.model_validate({"answer": None, **data})


HOSTILE = ["[" * 150_000, "[1," * 60_000, '{"a":' * 40_000, "```json\n" * 20_000, "{" * 199_000, '["' * 90_000]
HOSTILE += [("[" + "1," * 900) * 110, "1e999999999", '{"a": 1e-999999999}', "9" * 190_000, "\ud800", "```\n" * 50_000]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_hostile_text_costs_little(text: str) -> None:
    with cpu_below(3):
        assert status(text, answer={"a": 1}) is not Status.PASS
        assert status(text, json_schema={"type": "integer", "maximum": 3}) is not Status.PASS


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_equals_itself(value: object) -> None:
    import json

    assert status(json.dumps(value), answer=value) is Status.PASS
    assert status(f"```json\n{json.dumps(value, indent=1)}\n```", answer=value) is Status.PASS
    assert status(json.dumps([value, 0]), answer=value) is not Status.PASS
