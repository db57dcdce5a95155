"""Fields that a user writes have descriptions: error lines and the pages in docs/ are made of them."""

import pytest
from pydantic import BaseModel

from sampling.limits import Limits
from sampling.problems import Message, Problem
from sampling.references import REFERENCES, CallCase, StdioCase
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling
from sampling.settings.service import Prices, ServiceSettings
from sampling.tasks.task import TaskSpec
from sampling.validate import first_sentence

WRITTEN = [
    *(SamplingSettings, TaskSampling, Prices, ServiceSettings, ModelSpec, TaskSpec, Limits, Message, Problem),
    *(StdioCase, CallCase, *sorted(set(REFERENCES.values()), key=lambda reference: reference.__name__)),
]


@pytest.mark.parametrize("model", WRITTEN)
def test_every_field_is_described_in_a_sentence_that_fits_an_error_line(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        said = first_sentence(field.description or "")
        assert said.endswith(".") and len(said) <= 120, f"{model.__name__}.{name}: {said!r}"
