"""Ids of problems, found under the names that other tools give them."""

import pytest

from sampling.samples import ProblemIds


@pytest.mark.parametrize(
    ("ids", "given", "found"),
    [
        (["HumanEval/0", "HumanEval/1"], "HumanEval/1", "HumanEval/1"),
        (["HumanEval/0", "HumanEval/1"], "humaneval/1", "HumanEval/1"),
        (["HumanEval/0", "HumanEval/1"], "1", "HumanEval/1"),
        (["mbpp/2", "mbpp/11"], "Mbpp/2", "mbpp/2"),
        (["mbpp/2", "mbpp/11"], "1", None),
        (["a/1", "b/2"], "2", None),  # the prefix tells problems apart
        (["a/1", "b/2"], "b/1", None),
        (["A", "a"], "a", "a"),
        (["A", "a", "b"], "B", "b"),
        (["Aa", "aA"], "aa", None),  # two may be meant
        (["1", "2"], "HumanEval/1", None),
        ([], "1", None),
    ],
)
def test_an_id_is_found_where_one_alone_can_be_meant(ids: list[str], given: str, found: str | None) -> None:
    assert ProblemIds(ids).find(given) == found
