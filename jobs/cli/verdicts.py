"""The commands that add verdicts, scores or rows to a run: verify, score, import."""

import sys
from pathlib import Path

import click

from jobs.cli.options import AT_LEAST_ONE, FILE, cluster_options, columns_option, json_option, say
from sampling.errors import BadInput


@click.command()
@click.argument("run_uri", metavar="[RUN]", required=False)
@click.option(
    "--sweep", metavar="SWEEP", type=FILE,
    help="Your sweep file of RUN: its judge is asked; its checkers, repositories, images and folders of packages are "
    "used. Default: RUN if that is a sweep file, else none.",
)  # fmt: skip
@click.option(
    "--task", "task", metavar="KIND=PATH",
    help="Task that has the problems of --samples. Example: --task jsonl=problems.jsonl",
)  # fmt: skip
@click.option(
    "--samples", metavar="FILE", type=FILE,
    help='JSONL or Parquet with one sample per row: "problem", "sample" (a number from 0; default: in the order of the '
    'rows) and "text". Files of HumanEval and EvalPlus are read as they are ("task_id", "completion" or "solution").',
)  # fmt: skip
@columns_option("problem=question_id,text=output")
@click.option(
    "--out", metavar="FILE", type=FILE,
    help="File for the verdicts of --samples, in their order; its name ends in .jsonl or .parquet.",
)  # fmt: skip
@click.option(
    "--tier", type=click.Choice(["isolated", "confined"]),
    help="Weakest sandbox that is accepted. Default: the strongest that this machine has.",
)  # fmt: skip
@click.option("--workers", type=AT_LEAST_ONE, help="Verifier processes. Default: one per core.")
@json_option("Print the summary of --samples as JSON, for scripts. Default: off.")
def verify(
    run_uri: str | None,
    sweep: Path | None,
    task: str | None,
    samples: Path | None,
    columns: str,
    out: Path | None,
    tier: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Verify the samples of a RUN again, or of any file.

    Needs no Ray and no GPU. With RUN: reads the stored samples that lack verdicts of the present verifiers and writes
    new verdicts beside the old, as a new version. Nothing that a run names is contacted or opened: problems with a
    judge, a repository, an image or a folder of packages need --sweep, or RUN as a sweep file.
    Prints how many units were verified and how many verdicts changed. With --task, --samples and --out: reads FILE,
    writes one verdict per sample and prints counts by status. A second call continues an interrupted one. Exit codes:
    0 done, 2 bad input.

    \b
    Example: troop verify --task jsonl=problems.jsonl --samples samples.jsonl --out verdicts.jsonl
    """
    if run_uri is not None and not (task or samples or columns or out):
        from jobs.reverify import reverify_run

        click.echo(reverify_run(run_uri, tier=tier, workers=workers, sweep=sweep))
        return
    if run_uri is not None or sweep is not None or task is None or samples is None or out is None:
        raise BadInput("verify: give either RUN, or all of --task KIND=PATH, --samples FILE and --out FILE")
    from jobs.import_read import parse_columns
    from jobs.progress import count_display
    from jobs.verify_file import verify_file
    from jobs.verify_rows import SampleRow

    names = parse_columns(columns, SampleRow.model_fields, "samples")
    with count_display("samples") as show:
        summary = verify_file(
            task, samples, out, columns=names, tier=tier, workers=workers, say=say,
            progress=lambda now: show(now.done, now.total),
        )  # fmt: skip
    for line in summary.fault_lines():
        say(line)
    click.echo(summary.as_json() if as_json else summary.as_text())


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option(
    "--model",
    required=True,
    metavar="RM",
    help="Reward model: a folder, a Hugging Face id or an s3:// folder.",
)
@click.option("--revision", help="Branch, tag or commit of a model of the Hugging Face hub. Default: its main branch.")
@click.option(
    "--steps", type=click.Choice(["min", "prod", "mean", "last"]),
    help="How a process reward model's step scores become one score; required for such a model.",
)  # fmt: skip
@click.option("--step-separator", default=r"\n\n", show_default=True, help="Text between the steps of a completion.")
@click.option(
    "--step-token", help="Token that a process reward model was trained to see after each step. Default: <extra_0> for "
    "a …ForProcessRewardModel; required for other process models.",
)  # fmt: skip
@click.option(
    "--template", type=click.Choice(["auto", "chat", "plain"]), default="auto", show_default=True,
    help="chat: the model's chat template. plain: prompt and completion as one text. auto: chat if it has a template.",
)  # fmt: skip
@click.option("--dtype", help="Number format of the weights, as in a sweep: float32, bfloat16, … Default: auto.")
@click.option(
    "--max-model-len", type=int, help="Longest text in tokens; a longer one gets no score. Default: the model's own."
)
@click.option("--gpus", type=float, help="GPUs of one engine: 0.25, 1, 2, … Default: 1.")
@cluster_options
@json_option()
def score(
    run_uri: str,
    model: str,
    revision: str | None,
    steps: str | None,
    step_separator: str,
    step_token: str | None,
    template: str,
    dtype: str | None,
    max_model_len: int | None,
    gpus: float | None,
    address: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Score the samples of a RUN with a reward model.

    The report then has best-of-N and weighted votes by these scores. Reads the stored samples; writes scores to files
    of their own, by version, and changes no verdict. Prints samples scored, the version, and the reasons of samples
    without a score. The same command continues an interrupted one. Exit codes: 0 done, 2 bad input, 3 units were set
    aside.

    \b
    Example: troop score runs/demo --model Qwen/Qwen2.5-Math-PRM-7B --steps min
    """
    from jobs.score import score_run
    from sampling.engines.reward import RewardSettings, reward_spec
    from sampling.validate import parse

    spec = reward_spec(model, revision=revision, dtype=dtype, max_model_len=max_model_len, gpus=gpus)
    given = {"steps": steps, "step_separator": _unescaped(step_separator), "template": template}
    settings = parse(RewardSettings, {**given, "step_token": step_token and _unescaped(step_token)}, "score")
    done = score_run(run_uri, spec, settings, address=address, local=local, say=say)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())
    sys.exit(3 if done.set_aside else 0)


@click.command("import")
@click.argument("run_uri", metavar="RUN")
@click.option(
    "--outcomes", metavar="FILE", type=FILE,
    help="Table with one row per sample: model, task, problem, sample, and passed or status; optional: score, answer, "
    "tokens, prompt_tokens.",
)  # fmt: skip
@click.option(
    "--counts", metavar="FILE", type=FILE,
    help="Table with one row per problem: model, task, problem, n (samples) and c (samples that passed).",
)  # fmt: skip
@click.option(
    "--samples", metavar="FILE", type=FILE,
    help="Table with one row per sample: model, task, problem, sample (default: in the order of the rows) and text; "
    "`troop verify RUN` then verifies them. Files of HumanEval and EvalPlus are read as they are.",
)  # fmt: skip
@columns_option("problem=question_id,passed=correct")
@click.option("--model", metavar="NAME", help="Model of all rows, if the file has no column for it.")
@click.option(
    "--task", metavar="NAME", help="Task of all rows, if the file has no column for it; KIND=PATH also stores the "
    "problems of that task, which --samples needs. Example: --task jsonl=problems.jsonl",
)  # fmt: skip
@click.option(
    "--baseline", "baselines", multiple=True, metavar="MODEL",
    help="Model whose single try the others have to reach; repeatable. Default: none.",
)  # fmt: skip
@click.option(
    "--stopped", metavar="RULE",
    help="Rule that ended a problem's sampling because of its outcome, as '{at: 1}', or '{at: 5, rounds: [100, 200]}' "
    "where passes were counted at those samples; 'no' for none. Needed where the counts show one.",
)  # fmt: skip
@json_option()
def import_(
    run_uri: str,
    outcomes: Path | None,
    counts: Path | None,
    samples: Path | None,
    columns: str,
    model: str | None,
    task: str | None,
    baselines: tuple[str, ...],
    stopped: str | None,
    as_json: bool,
) -> None:
    """Import verdicts, counts or samples into a RUN.

    RUN may be new or existing. Reads one table, Parquet, CSV or JSONL (text also as .gz), and checks every row first.
    Writes units as `troop run` does, so every command on a run works on them. Importing the same table again writes
    nothing; other rows for a known model and task are refused. Prints samples by model and task. Exit codes: 0 done,
    2 bad input, nothing written.

    \b
    Example: troop import runs/paper --outcomes verdicts.parquet --columns problem=Idx,passed=Score --task math
    """
    from jobs.import_read import COUNTS, OUTCOMES, SAMPLES, Table, parse_columns
    from jobs.import_write import import_table
    from jobs.numbers.stop_rules import parse_stopped
    from jobs.progress import count_display
    from jobs.verify_file import parse_task

    given = [(kind, path) for kind, path in ((OUTCOMES, outcomes), (COUNTS, counts), (SAMPLES, samples)) if path]
    if len(given) != 1:
        raise BadInput("import: give one of --outcomes FILE, --counts FILE, --samples FILE")
    kind, path = given[0]
    spec = parse_task(task) if task and "=" in task else None
    named = {"model": model, "task": spec.title if spec else task}
    table = Table(
        kind,
        path,
        parse_columns(columns, kind.columns, kind.name),
        {name: value for name, value in named.items() if value},
    )
    said = parse_stopped(stopped)
    say(f"reading {path}")
    with count_display("samples imported") as show:
        done = import_table(run_uri, table, task=spec, baselines=baselines, show=show, say=say, stopped=said)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())


def _unescaped(text: str) -> str:
    r"""Replaces ``\n`` with a line break and ``\t`` with a tab, which are hard to type in a shell."""
    return text.replace(r"\n", "\n").replace(r"\t", "\t")


COMMANDS = (verify, score, import_)
