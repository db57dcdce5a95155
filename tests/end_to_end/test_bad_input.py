"""Mistakes that a user can make before a run: each gives one line and exit code 2, and nothing is written."""

import json
from pathlib import Path

import pytest

from tests.conftest import PROBLEMS, Troop, WriteSweep
from tests.support.places import SMALL_MODEL

GOLD = {"name": "gold", "path": "gold", "engine": "replay"}
TASK = {"name": "sums", "kind": "jsonl", "path": "problems.jsonl"}


def without(key: str) -> list[dict[str, object]]:
    return [{name: value for name, value in PROBLEMS[0].items() if name != key}]


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("problems", "changes", "named"),
    [
        (None, {"modles": []}, ["sweep.yaml", "modles", "unknown key", "models"]),
        (None, {"sampling": {"temprature": 1}}, ["sampling.temprature", "unknown key", "temperature"]),
        (None, {"k": 0}, ["k", "greater than or equal to 1"]),
        (None, {"models": [{**GOLD, "k": -3}]}, ["models.0.k", "-3"]),
        (None, {"tasks": [{**TASK, "path": "nowhere.jsonl"}]}, ["nowhere.jsonl", "no such file"]),
        (None, {"models": [{"name": "m", "path": "models/none"}]}, ["models.m.path", "models/none"]),
        (None, {"models": [{"name": "m", "path": "./nothing"}]}, ["models.m.path", "config.json"]),
        (None, {"models": [{"name": "m", "path": "samples.jsonl", "engine": "replay"}]}, ["samples.jsonl", "replay"]),
        (without("id"), {}, ["problems.jsonl:1", "id"]),
        (without("reference"), {}, ["problems.jsonl:1", "reference"]),
        (PROBLEMS[:1] * 2, {}, ["'one'", "more than once"]),
        ("", {}, ["problems.jsonl", "at least one"]),
        ('{"id": ', {}, ["problems.jsonl:1", "JSON"]),
        ([{**PROBLEMS[0], "promt": "x"}], {}, ["problems.jsonl:1", "promt", "prompt"]),
        ([{**PROBLEMS[0], "verifier": "vibes"}], {}, ["problems.jsonl:1", "verifier", "exact"]),
        (None, {"store": "/proc/nowhere"}, ["/proc/nowhere"]),
        (None, {"store": "ftp://host/x"}, ["ftp://host/x", "s3://"]),
    ],
)
def test_is_told_in_one_line_and_writes_nothing(
    troop: Troop,
    write_sweep: WriteSweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    problems,
    changes,
    named,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
    words = ["--local"] if command == "run" else []
    sweep = write_sweep(problems, **changes)
    if command == "plan" and changes.get("store") == "/proc/nowhere":
        pytest.skip("a dry run does not try to write")
    found = troop(command, sweep, *words)
    assert found.code == 2, found
    lines = found.err.strip().splitlines()
    assert len(lines) == 1, found.err
    assert all(word in lines[0] for word in named), lines[0]
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "sweep.yaml"}


def test_a_folder_that_is_also_a_hub_id_is_told(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "tiny").symlink_to(SMALL_MODEL.resolve())
    sweep = write_sweep(models=[{"name": "m", "path": "org/tiny", "dtype": "float32"}])
    folder = SMALL_MODEL.resolve()
    note = f"models.m.path: 'org/tiny' is the folder {folder}; write hf://org/tiny for the hub's model"
    found = troop("plan", sweep)
    assert (found.code, note in found.out.splitlines()) == (0, True), found.err
    assert json.loads(troop("plan", sweep, "--json").out)["notes"] == [note]
    (tmp_path / "org" / "none").mkdir()
    found = troop("plan", write_sweep(models=[{"name": "m", "path": "org/none"}]))
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "write ./org/none for the folder, which has no config.json" in found.err


def test_keys_that_are_left_out_are_named(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([{**PROBLEMS[0], "level": 1}, {**PROBLEMS[1], "level": 2, "_split": "x"}])
    said = "keys left out, not stored: _split, level"
    assert any(line.endswith(said) for line in troop("plan", sweep).out.splitlines())
    assert said in troop("run", sweep, "--local", "--no-report").err


def test_a_model_that_replays_solutions_is_warned_of_problems_without(troop: Troop, write_sweep: WriteSweep) -> None:
    bare = {key: value for key, value in PROBLEMS[1].items() if key != "solution"}
    found = troop("plan", write_sweep([PROBLEMS[0], bare]))
    assert (found.code, len(found.err.splitlines())) == (0, 1)
    assert "1 problem of 2 without a solution, the first is 'two'" in found.err


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"engine": "openai", "base_url": "http://h/v1", "gpus": 2}, "gpus"),
        ({"engine": "openai", "base_url": "http://h/v1", "vllm": {"seed": 1}}, "vllm"),
        ({"engine": "openai", "base_url": "http://h/v1", "dtype": "float32"}, "dtype"),
        ({"base_url": "http://h/v1"}, "base_url"),
        ({"parallel": 8}, "parallel"),
        ({"api_key_env": "KEY"}, "api_key_env"),
    ],
)
def test_a_key_that_the_engine_does_not_read_is_refused(
    troop: Troop, write_sweep: WriteSweep, model: dict[str, object], key: str
) -> None:
    found = troop("plan", write_sweep(models=[{"name": "m", "path": "o/n", **model}]))
    assert (found.code, len(found.err.splitlines())) == (2, 1)
    assert f"models.m.{key}: engine" in found.err and "does not read it" in found.err


def test_every_command_on_problems_names_the_keys_that_it_leaves_out(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    sweep = write_sweep([{**PROBLEMS[0], "level": 1}])
    (tmp_path / "s.jsonl").write_text('{"problem": "one", "sample": 0, "text": "2"}\n')
    row = {"model": "m", "problem": "one", "sample": 0, "passed": True}
    (tmp_path / "o.jsonl").write_text(json.dumps(row) + "\n")
    task = "jsonl=problems.jsonl"
    for words in (
        ("verify", "--task", task, "--samples", "s.jsonl", "--out", "v.jsonl"),
        ("import", "run", "--outcomes", "o.jsonl", "--task", task),
        ("audit", sweep, "--local"),
    ):
        found = troop(*words)
        assert found.code == 0, found.err
        assert "keys left out, not stored: level" in found.err, words


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "id": "b", "prompt": "?", "verifier": "exact", "reference": {"answer": "2"}}',
        '{"id": "a", "prompt": "?", "verifier": "exact", "reference": {"answer": "2", "answer": "3"}}',
        '{"id": "a", "messages": [{"role": "user", "role": "system", "content": "?"}], "verifier": "exact", '
        '"reference": {"answer": "2"}}',
        '{"id": "a", "prompt": "?", "verifier": "exact", "reference": {"answer": "2"}, "x": {"y": 1, "y": 1}}',
    ],
)
def test_a_key_that_occurs_twice_in_a_line_is_refused(troop: Troop, write_sweep: WriteSweep, line: str) -> None:
    found = troop("plan", write_sweep(line + "\n"))
    assert (found.code, len(found.err.splitlines())) == (2, 1)
    assert "problems.jsonl:1" in found.err and "occurs more than once in one object" in found.err


def test_a_key_that_occurs_twice_in_a_sample_is_refused(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"problem": "one", "sample": 0, "text": "2", "text": "3"}\n')
    replay = [{"name": "m", "path": "s.jsonl", "engine": "replay"}]
    words = ("verify", "--task", "jsonl=problems.jsonl", "--samples", "s.jsonl", "--out", "v.jsonl")
    sweep = write_sweep(models=replay)
    for found in (troop(*words), troop("run", sweep, "--local", "--no-report")):
        assert found.code in (2, 3) and "key 'text' occurs more than once" in found.err, found


def test_an_unreachable_store_is_told_within_seconds(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    options = {"endpoint_url": "http://127.0.0.1:9", "region": "us-east-1"}
    found = troop("run", write_sweep(store="s3://bucket/prefix", store_options=options), "--local")
    assert found.code == 2
    assert "127.0.0.1:9" in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_prompt_that_the_model_cannot_take_is_named(troop: Troop, write_sweep: WriteSweep) -> None:
    model = SMALL_MODEL
    long = [{**PROBLEMS[0], "id": "long", "prompt": "1" * 5000}]
    found = troop("plan", write_sweep(long, models=[{"name": "m", "path": str(model)}]))
    assert found.code == 2
    assert "'long'" in found.err
    assert "at most" in found.err


def test_what_a_task_samples_with_cannot_change_between_two_runs(troop: Troop, write_sweep: WriteSweep) -> None:
    """A model that gets settings of its own no longer uses its tasks' settings: this is refused too."""
    task = {"name": "sums", "kind": "jsonl", "path": "problems.jsonl", "sampling": {"temperature": 0.5}}
    gold = {"name": "gold", "path": "gold", "engine": "replay", "k": 4}
    first = troop("run", write_sweep(models=[gold], tasks=[task]), "--local", "--no-report")
    assert first.code == 0, first.err
    assert "with temperature 0.5, top_p 1.0, max_tokens 512" in troop("plan", write_sweep(tasks=[task])).out
    found = troop("run", write_sweep(models=[gold], tasks=[{**task, "sampling": {"top_p": 0.5}}]), "--local")
    assert (found.code, "of problem 'one' has changed, or its task's settings" in found.err) == (2, True)
    found = troop("run", write_sweep(models=[{**gold, "sampling": {}}], tasks=[task]), "--local")
    assert (found.code, "settings was None, is 'own'" in found.err) == (2, True)


def test_a_spec_changed_between_two_runs_is_refused_with_the_difference(troop: Troop, write_sweep: WriteSweep) -> None:
    assert troop("run", write_sweep(), "--local", "--no-report").code == 0
    found = troop("run", write_sweep(sampling={"temperature": 0.5}), "--local", "--no-report")
    assert found.code == 2
    assert "temperature was 1.0, is 0.5" in found.err
    changed = [{**PROBLEMS[0], "prompt": "1 + 1 ="}, *PROBLEMS[1:]]
    found = troop("run", write_sweep(changed), "--local", "--no-report")
    assert found.code == 2
    assert "the prompt of problem 'one' has changed" in found.err


def test_a_run_that_is_not_there_is_named(troop: Troop, tmp_path: Path) -> None:
    for words in (["status"], ["report"], ["sql"]):
        found = troop(*words, tmp_path / "none", *(["SELECT 1"] if words == ["sql"] else []))
        assert (found.code, "no run here" in found.err) == (2, True)
    assert not (tmp_path / "none").exists()


def test_words_that_make_no_sense_are_refused(troop: Troop, write_sweep: WriteSweep) -> None:
    assert troop("run").code == 2
    assert troop("rum", write_sweep()).code == 2
    assert troop("verify").code == 2
    assert troop("run", write_sweep(), "--set", "models.gold.kk=3").code == 2


STDIO = {"id": "s", "prompt": "?", "verifier": "stdio", "reference": {"cases": [{"stdin": "", "stdout": "1"}]}}
SAMPLE = b'{"problem": "s", "sample": 0, "text": "print(1)"}\n'


@pytest.mark.parametrize(
    ("problem", "samples", "out", "named"),
    [
        (STDIO, SAMPLE.replace(b'"s"', b'"t"'), "v.jsonl", ["samples.jsonl:1", "problem 't' is not in the task"]),
        (STDIO, SAMPLE + b'{"problem": "s", "sample": 1}\n', "v.jsonl", ["samples.jsonl:2", "text", "required"]),
        (STDIO, SAMPLE.replace(b"print", b"pr\xefnt"), "v.jsonl", ["samples.jsonl:1", "not UTF-8", "byte 41"]),
        (STDIO, SAMPLE.replace(b"print", b"pr\0nt"), "v.jsonl", ["samples.jsonl:1", "not valid JSON", "control"]),
        (STDIO, b"", "v.jsonl", ["samples.jsonl", "at least one"]),
        ({**STDIO, "reference": {**STDIO["reference"], "checker": "vibes"}}, SAMPLE, "v.jsonl",  # type: ignore[dict-item]
         ["problems.jsonl:1", "checker", "'tokens', 'lines', 'exact', 'float' or 'caseless'", "'vibes'"]),
        ({**STDIO, "reference": {"cases": []}}, SAMPLE, "v.jsonl", ["problems.jsonl:1", "cases", "at least 1"]),
        (STDIO, SAMPLE, "/proc/v.jsonl", ["/proc/v.jsonl", "cannot be written"]),
        (STDIO, SAMPLE, "nowhere/v.jsonl", ["nowhere/v.jsonl", "writable folder"]),
        (STDIO, SAMPLE, "v.txt", ["v.txt", ".jsonl or .parquet"]),
        (STDIO, SAMPLE, "samples.jsonl", ["is the samples file itself"]),
    ],
)  # fmt: skip
def test_what_cannot_be_verified_is_told_in_one_line_and_writes_nothing(
    troop: Troop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: dict[str, object],
    samples: bytes,
    out: str,
    named: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problems.jsonl").write_text(json.dumps(problem) + "\n")
    (tmp_path / "samples.jsonl").write_bytes(samples)
    found = troop("verify", "--task", "jsonl=problems.jsonl", "--samples", "samples.jsonl", "--out", out)
    assert found.code == 2, found
    (line,) = found.err.strip().splitlines()
    assert all(word in line for word in named), line
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "samples.jsonl"}
    assert (tmp_path / "samples.jsonl").read_bytes() == samples


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], ["Usage: troop"]),
        (["nope"], ["troop: ", "'nope'", "`troop --help`"]),
        (["run"], ["troop run: ", "'SWEEP'", "`troop run --help`"]),
        (["plan", "--jsn", "s.yaml"], ["troop plan: ", "--jsn", "--json"]),
        (["verify", "--tier", "none"], ["'--tier'", "'isolated', 'confined'"]),
    ],
)
def test_words_that_no_command_knows(troop: Troop, words: list[str], named: list[str]) -> None:
    done = troop(*words)
    if words:
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert all(name in done.out + done.err for name in named), done
