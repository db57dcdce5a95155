"""The demo's committed models, problems and training code fit together.

Tests import PyTorch, transformers and what needs them by themselves: every pytest process collects this file, and one
runs it.
"""

import ast

import numpy as np
import pytest

from examples.demo.functions import PROBE, SHOWN, build_levels, hashes, held_out, pieces, prompt_text
from examples.demo.make_problems import COUNTS, make_problems
from sampling.problems import Problem, read_jsonl
from sampling.references import PythonReference
from tests.support.places import DEMO

PROBLEMS, MODELS = DEMO / "problems.jsonl", DEMO / "models"
SMALL_SIZES = (10**6, 20_000, 3_000, 3_000)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return read_jsonl(PROBLEMS)


@pytest.fixture(scope="module")
def levels() -> list:
    return build_levels(SMALL_SIZES, seed=5)[1:]


def values_of(text: str) -> np.ndarray:
    from examples.demo.evaluate import interpret

    tree = ast.parse(text, mode="eval").body
    return np.array([[interpret(tree, x) for x in PROBE.tolist()]], dtype=np.int64)


def test_weights_are_small_enough_to_commit():
    files = list(MODELS.glob("*/model.safetensors"))
    assert sorted(f.parent.name for f in files) == ["large", "small"]
    assert sum(f.stat().st_size for f in files) <= 8 * 2**20


@pytest.mark.parametrize("name", ["large", "small"])
def test_committed_models_have_the_recipes_shape_and_tokenizer(name):
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from examples.demo.tokens import END, make_tokenizer
    from examples.demo.train import RECIPES, make_model

    model = LlamaForCausalLM.from_pretrained(str(MODELS / name), dtype=torch.float32)
    assert model.num_parameters() == make_model(RECIPES[name]).num_parameters()
    assert AutoTokenizer.from_pretrained(str(MODELS / name)).get_vocab() == make_tokenizer().get_vocab()
    assert model.generation_config.eos_token_id == make_tokenizer().convert_tokens_to_ids(END)


def test_the_small_model_solves_an_easy_problem_within_a_few_samples(problems):
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from examples.demo.evaluate import cases_of, passes, sample

    torch.manual_seed(0)
    model = LlamaForCausalLM.from_pretrained(str(MODELS / "small"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(MODELS / "small"))
    texts = [sample(model, tokenizer, p.prompt, 50, 1.0) for p in problems[:6]]
    assert any(passes(text, cases_of(p)) for p, drawn in zip(problems[:6], texts, strict=True) for text in drawn)


def test_problems_are_those_the_code_makes(problems):
    assert len(problems) == sum(COUNTS)
    assert [Problem.model_validate(row) for row in make_problems(seed=2026)] == problems


def test_problems_hide_most_of_their_inputs(problems):
    from examples.demo.evaluate import cases_of

    for problem in problems:
        assert problem.stop == ("\n",)
        assert isinstance(problem.reference, PythonReference)
        judged = {case.args[0] for case in cases_of(problem)}
        assert len(judged - set(SHOWN.tolist())) == 12
        assert len(judged & set(SHOWN.tolist())) == 4


def test_gold_solutions_are_right_and_a_wrong_one_is_not(problems):
    from examples.demo.evaluate import cases_of, passes

    for problem in problems:
        assert passes(problem.solution, cases_of(problem))
        assert not passes(f"({problem.solution})+1", cases_of(problem))
        assert not passes("5", cases_of(problem))


def test_every_problem_is_held_out_by_value(problems):
    assert all(held_out(values_of(p.solution)).all() for p in problems)
    assert held_out(values_of("x//4")).all()
    assert held_out(values_of("x//2//2")).all(), "another spelling of the same function is held out too"


def test_training_data_has_no_held_out_function(levels, problems):
    from examples.demo.train import Data

    data = Data(levels, seed=1)
    kept = sum(int((~held_out(level.values)).sum()) for level in levels)
    assert data.starts[-1] == len(data.shown) == kept < sum(len(level) for level in levels)
    trained = np.concatenate([hashes(level.values[~held_out(level.values)]) for level in levels])
    assert not np.isin(np.concatenate([hashes(values_of(p.solution)) for p in problems]), trained).any()


def test_generated_functions_do_what_their_text_says(levels):
    for level in levels:
        for row in range(0, len(level), max(1, len(level) // 150)):
            assert values_of(level.texts[row])[0].tolist() == level.values[row].tolist(), level.texts[row]


def test_training_ids_are_the_tokenizers_own(levels):
    from examples.demo.tokens import PROMPT_TOKENS, expression_ids, make_tokenizer, prompt_ids

    tokenizer, level = make_tokenizer(), levels[1]
    prompts, (completions, lengths) = prompt_ids(level.shown()), expression_ids(level.texts)
    for row in range(0, len(level), 97):
        text = prompt_text(level.shown()[row])
        ids = tokenizer(text).input_ids
        assert (len(ids), ids) == (PROMPT_TOKENS, prompts[row].tolist())
        assert tokenizer.decode(ids) == text
        assert tokenizer.tokenize(level.texts[row]) == pieces(level.texts[row])
        assert tokenizer.decode(completions[row, : lengths[row]], skip_special_tokens=True) == level.texts[row]


@pytest.mark.parametrize(
    "text", ["__import__('os')", "x.real", "(lambda: 1)()", "abs(x, x)", "[x]", "9**9**9", "y", "min(x, key=x)", "'x'"]
)
def test_the_interpreter_refuses_everything_else(text):
    from examples.demo.evaluate import Refused, interpret

    with pytest.raises(Refused):
        interpret(ast.parse(text, mode="eval").body, 3)


def test_the_interpreter_bounds_numbers_and_survives_nonsense(problems):
    from examples.demo.evaluate import cases_of, passes

    cases = cases_of(problems[0])
    assert not any(
        passes(text, cases) for text in ("", "x//0", "*".join(["99999"] * 9), "((" * 300, "x" * 4000, "\x00")
    )


def test_pass_at_is_the_unbiased_estimate():
    from examples.demo.evaluate import pass_at

    assert pass_at(1, 4, [1, 3]) == pytest.approx(0.5)
    assert pass_at(2, 4, [1, 0]) == pytest.approx(0.25)
    assert pass_at(4, 4, [1, 0]) == pytest.approx(0.5)


def test_two_steps_of_training_lower_the_loss(levels):
    import torch

    from examples.demo.train import Data, Recipe, completion_loss, make_model, optimizers, train_step

    recipe = Recipe(hidden=32, layers=1, heads=1, inner=32, steps=20, batch=64, muon_rate=0.02, warmup=1)
    torch.manual_seed(0)
    data, model = Data(levels, seed=3), make_model(recipe)
    rows, lengths = data.batch(128, 0.5)
    parts, before = optimizers(model, recipe), float(completion_loss(model, rows, lengths).detach())
    for step in range(2):
        train_step(model, parts, data, recipe, step)
    assert float(completion_loss(model, rows, lengths).detach()) < before
