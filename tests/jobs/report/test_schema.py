"""Descriptions of the fields that scripts read: docs/results.md and error lines are made from them."""

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from jobs.describe import PlanDescription
from jobs.doctor.finding import Examination
from jobs.report.schema import Report
from sampling.validate import first_sentence

OF_USERS = {"sampling"}  # fields whose model belongs to the sweep; docs/sweep.md describes it


def models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models_in(part)}


def models_below(top: type[BaseModel]) -> set[type[BaseModel]]:
    found, waiting = set(), [top]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            waiting += [
                inner
                for name, field in model.model_fields.items()
                if name not in OF_USERS
                for inner in models_in(field.annotation)
            ]
    return found


@pytest.mark.parametrize("top", [Report, PlanDescription, Examination])
def test_every_field_has_a_description_that_starts_with_a_short_sentence(top: type[BaseModel]) -> None:
    for model in models_below(top):
        assert model.__doc__
        for name, field in model.model_fields.items():
            said = first_sentence(field.description or "")
            assert said and len(said) <= 130, f"{model.__name__}.{name}: {said!r}"
