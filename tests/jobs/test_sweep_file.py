"""The file of a sweep as it is read: keys, scalars of YAML 1.2, variables, and what ``--set`` names."""

import json
from pathlib import Path

import pytest

from jobs.sweep import load_sweep
from jobs.sweep_file import read_sweep_file
from sampling.errors import BadInput
from tests.conftest import Troop, WriteSweep

HEAD = "name: demo\ntasks: [{kind: jsonl, path: problems.jsonl}]\n"
MODELS = "models: [{name: gold, path: gold, engine: replay}]\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str, *assignments: str) -> str:
    with pytest.raises(BadInput) as error:
        load_sweep(written(folder, text), assignments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (HEAD + MODELS + "name: other\n", 4, "name"),
        (HEAD + MODELS + "sampling:\n  top_k: 1\n  stop: []\n  top_k: 2\n", 7, "top_k"),
        (HEAD + "models:\n  - name: gold\n    path: gold\n    name: m\n", 6, "name"),
        (HEAD + MODELS + "vllm: {a: {b: [{1: x, '1': y}]}}\n", 4, "1"),
        (HEAD + MODELS + "yes: 1\nyes: 2\n", 5, "yes"),
    ],
)
def test_a_key_that_occurs_twice_is_refused_at_any_depth(tmp_path: Path, text: str, line: int, key: str) -> None:
    said = refused(tmp_path, text)
    assert said.startswith(f"{tmp_path}/sweep.yaml: not valid YAML (line {line}, column ")
    assert f"key '{key}' occurs a second time" in said
    assert "key 'a' occurs a second time" in refused(tmp_path, HEAD + MODELS, "sampling={a: 1, a: 2}")


def test_merge_keys_give_what_the_mapping_itself_leaves_out(tmp_path: Path) -> None:
    text = "base: &base {k: 3, <<: {j: 1}}\nitems:\n  - {<<: *base, k: 5}\n  - {<<: [*base, {z: 0}]}\n"
    assert read_sweep_file(written(tmp_path, text))["items"] == [{"j": 1, "k": 5}, {"j": 1, "k": 3, "z": 0}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("Yes", "Yes"), ("on", "on"), ("OFF", "OFF"), ("y", "y"),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("-7", -7), ("1_000", "1_000"), ("1:30", "1:30"), ("0b11", "0b11"),
        ("1e3", 1000.0), ("1.5E-3", 0.0015), (".5", 0.5), ("1.", 1.0), ("-.inf", float("-inf")), ("1:30.5", "1:30.5"),
        ("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"), ("~", None), ("", None),
        ("null", None), ("~/x", "~/x"), ("'010'", "010"), ("!!str 010", "010"), ("=", "="), ("+", "+"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_reads_them(tmp_path: Path, text: str, value: object) -> None:
    found = read_sweep_file(written(tmp_path, f"a: {text}\n"))["a"]
    assert (found, isinstance(found, str)) == (value, isinstance(value, str))


@pytest.mark.parametrize(
    "text", ["010", "1:30", "no", "2024-01-01", "1.10", "1e3", "1_000", "0x1F", "-0", "on", ".inf"]
)
def test_a_key_that_wants_text_gets_the_text_that_was_written(tmp_path: Path, text: str) -> None:
    models = f"models: [{{name: {text}, path: org/{text}, revision: {text}, tasks: [{text}]}}]\n"
    tasks = f"tasks: [{{kind: jsonl, path: p.jsonl, name: '{text}'}}]\n".replace("'.inf'", "x").replace("'-0'", "x")
    tasks = tasks.replace("'1:30'", "x")
    models = models if f"'{text}'" in tasks else models.replace(f"tasks: [{text}]", "tasks: [x]")
    model = load_sweep(written(tmp_path, "name: demo\n" + tasks + models)).models[0]
    assert (model.name, model.path, model.revision) == (text, f"org/{text}", text)
    assert model.tasks == (text if f"'{text}'" in tasks else "x",)
    sweep = load_sweep(written(tmp_path, HEAD + MODELS), [f"models.gold.revision={text}", f"store={text}"])
    assert (sweep.models[0].revision, sweep.store) == (text, text)


def test_numbers_are_plain_numbers_where_no_text_is_wanted(tmp_path: Path) -> None:
    extra = "k: 1e3\nseed: 010\nsampling: {temperature: 1.10, logprobs: no}\n"
    model = "models: [{name: m, path: o/m, stall_timeout_s: 1e3, vllm: {a: 1.10, b: 010, 5: [0x10]}}]\n"
    sweep = load_sweep(written(tmp_path, HEAD + model + extra))
    assert (sweep.k, sweep.seed, sweep.sampling.temperature, sweep.sampling.logprobs) == (1000, 10, 1.1, False)
    given = sweep.models[0].vllm
    assert given == {"a": 1.1, "b": 10, "5": [16]}
    assert (type(given["a"]), type(given["b"])) == (float, int)


def test_true_and_false_are_no_numbers(tmp_path: Path) -> None:
    models = "models: [{name: m, path: o/m, baseline: TRUE, vllm: {a: false}}]\n"
    model = load_sweep(written(tmp_path, HEAD + models)).models[0]
    assert (model.baseline, model.vllm["a"]) == (True, False)
    for line, place in (("k: true", "k"), ("sampling: {top_p: true}", "sampling.top_p"), ("seed: false", "seed")):
        assert f"sweep.yaml: {place}: Input should be a valid" in refused(tmp_path, HEAD + models + line + "\n")
    assert "models.0.engines.int: Input should be" in refused(tmp_path, HEAD + models, "models.m.engines=true")


@pytest.mark.parametrize("text", ["true", "null", "~", ""])
def test_other_scalars_are_refused_as_text_with_the_advice_to_quote_them(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, HEAD + f"models: [{{name: {text}, path: o/m}}]\n")
    assert "models.0.name: Input should be a valid string" in said
    assert "put it in quotes to have it as text" in said


@pytest.mark.parametrize(
    "text", ["a: !!timestamp 2024-01-01\n", "a: !!python/object:os.system x\n", "a: !!int yes\n", "? [1]\n: 2\n",
             "a: " + "9" * 5000 + "\n", "a: " + "[" * 5000 + "\n", "a: &a [*a]\n", "a: 1\n--- \nb: 2\n"]
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).startswith(f"{tmp_path}/sweep.yaml: not valid YAML (")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load_sweep(written(tmp_path, "\ufeff" + HEAD + MODELS)).name == "demo"


def test_variables_are_filled_in_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROOP_DATA", "/data")
    monkeypatch.setenv("TROOP_N", "010")
    models = "models: [{name: '${TROOP_N}', path: '$${HOME}${TROOP_DATA}$x', engine: openai, base_url: http://h/v1}]\n"
    tasks = "tasks: [{kind: jsonl, path: '${TROOP_DATA}/p.jsonl'}]\n"
    sweep = load_sweep(written(tmp_path, "name: demo\nk: ${TROOP_N}\n" + tasks + models), ["store=${TROOP_DATA}/runs"])
    assert (sweep.models[0].name, sweep.models[0].path) == ("010", "${HOME}/data$x")
    assert (sweep.tasks[0].path, sweep.store, sweep.k) == ("/data/p.jsonl", "/data/runs", 10)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${TROOP_NOT_SET}", "store: ${TROOP_NOT_SET} is not set in the environment; set TROOP_NOT_SET, or write $${"),
        ("a/${}", "store: ${ begins no variable; allowed: ${NAME}, or $${ for ${ itself"),
        ("a/${A-b}", "store: ${ begins no variable"),
        ("${HF_TOKEN}", "store: ${HF_TOKEN} may be a secret, and plan.json would keep it"),
    ],
)
def test_a_variable_that_cannot_be_filled_in_is_named_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hidden")
    assert refused(tmp_path, HEAD + MODELS + f"store: {value}\n").startswith(f"{tmp_path}/sweep.yaml: {said}")
    assert said in refused(tmp_path, HEAD + MODELS, f"store={value}")
    assert "hidden" not in refused(tmp_path, HEAD + MODELS, f"models.gold.api_key_env={value}")


def test_what_a_run_has_stored_is_never_filled_in(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROOP_LEAK", "leaked")
    problem = {"id": "${TROOP_LEAK}", "prompt": "${TROOP_LEAK}", "verifier": "exact", "reference": {"answer": "2"}}
    gold = {"name": "$${TROOP_LEAK}", "path": "gold", "engine": "replay"}
    sweep = write_sweep([{**problem, "solution": "2"}], models=[gold], store=str(tmp_path / "runs"), k=1)
    assert troop("run", sweep, "--local", "--no-report").code == 0
    run = next((tmp_path / "runs").iterdir())
    found = troop("status", run, "--json")
    assert (found.code, "${TROOP_LEAK}" in found.out, "leaked" in found.out) == (0, True, False)
    assert json.loads((run / "plan.json").read_bytes())["sweep"]["models"][0]["name"] == "${TROOP_LEAK}"


NAMED = """name: demo
models:
  - {name: qwen-2, path: a/b}
  - {name: qwen-2.5, path: a/c}
  - {name: 1.10, path: a/d}
  - {name: qwen-2.vllm, path: a/e}
tasks:
  - {kind: jsonl, name: one.k, path: p.jsonl}
  - {kind: jsonl, name: two, path: p.jsonl}
  - {kind: gsm8k, path: p.jsonl}
"""


@pytest.mark.parametrize(
    ("assignment", "number"),
    [("models.qwen-2.5.k=7", 1), ("models.qwen-2.k=7", 0), ("models.1.10.k=7", 2), ("models.3.k=7", 3)],
)
def test_a_name_with_dots_is_found_the_longest_first(tmp_path: Path, assignment: str, number: int) -> None:
    sweep = load_sweep(written(tmp_path, NAMED), [assignment])
    assert [model.k for model in sweep.models] == [7 if place == number else None for place in range(4)]


def test_a_task_goes_by_its_name_or_by_a_kind_that_only_it_has(tmp_path: Path) -> None:
    words = ["tasks.one.k.limit=3", "tasks.gsm8k.limit=4", "models.qwen-2.5.sampling.top_k=2"]
    sweep = load_sweep(written(tmp_path, NAMED), words)
    assert [task.limit for task in sweep.tasks] == [3, None, 4]
    assert sweep.models[1].sampling is not None
    assert sweep.models[1].sampling.top_k == 2


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("tasks.jsonl.limit=3", "may mean 0 (one.k) or 1 (two); name one by its number"),
        ("models.qwen-2.vllm.k=1", "may mean 3 (qwen-2.vllm) or 0 (qwen-2); name one by its number"),
        ("models.qwen-3.5.k=1", "there is no 'qwen-3.5' here; there are: qwen-2, qwen-2.5, 1.10, qwen-2.vllm"),
        ("name.x=1", "name has no subkeys"),
        ("models..k=1", "not an assignment; write it as key.subkey=value"),
        (".k=1", "not an assignment; write it as key.subkey=value"),
        ("store=''", "store: String should have at least 1 character"),
        ("k=[", "not valid YAML (line 1"),
    ],
)
def test_an_assignment_that_may_mean_two_things_or_none_is_refused(tmp_path: Path, assignment: str, said: str) -> None:
    assert said in refused(tmp_path, NAMED, assignment)


def test_an_assignment_changes_one_item_only_where_an_alias_shares_its_mapping(tmp_path: Path) -> None:
    models = "models: [{name: a, path: o/a, sampling: &s {top_k: 1}}, {name: b, path: o/b, sampling: *s}]\nverify:\n"
    sweep = load_sweep(written(tmp_path, HEAD + models), ["models.a.sampling.top_k=5", "verify.audit=0"])
    assert [model.sampling and model.sampling.top_k for model in sweep.models] == [5, 1]
    assert sweep.verify.audit == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("k=5", "k=7"),
        ("k=", "k=7"),
        ("models.qwen-2.k=1", "models.0.k=2"),
        ("models.qwen-2.5.sampling.top_k=1", "models.qwen-2.5.sampling={top_p: 0.5}"),
        ("sampling={top_p: 0.5}", "sampling.top_p=0.9"),
        ("tasks.one.k.limit=3", "tasks=[]"),
        ("verify.tier=isolated", "verify="),
    ],
)
def test_an_assignment_that_undoes_another_is_refused(tmp_path: Path, first: str, second: str) -> None:
    """The hole: of two values for one key, the last was taken without a word."""
    said = refused(tmp_path, NAMED, first, "seed=3", second)
    assert said == f"--set {second!r}: sets again what --set {first!r} sets; give one of them"


def test_assignments_that_add_to_one_another_are_all_applied(tmp_path: Path) -> None:
    words = ["sampling={top_p: 0.5}", "sampling.top_k=3", "models.qwen-2.k=1", "models.qwen-2.5.k=1", "k=7"]
    sweep = load_sweep(written(tmp_path, NAMED + "k: 5\nsampling: {top_k: 9}\n"), words)
    assert (sweep.sampling.top_p, sweep.sampling.top_k, sweep.k) == (0.5, 3, 7)
    assert [model.k for model in sweep.models] == [1, 1, None, None]
