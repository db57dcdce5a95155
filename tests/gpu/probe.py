"""Prints as JSON what Troop and vLLM make of the GPUs of this machine: run in a process of its own, behind the stub.

The first argument is the model's folder, the second the GPUs that each engine holds.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from sampling.engines.devices import device_trouble, driver_trouble, look
from sampling.engines.hardware import all_gpus
from sampling.engines.model_info import inspect_model
from sampling.engines.vllm_engine import engine_arguments
from sampling.settings import ModelSpec

OF_ITSELF = {"instance_id"}  # differs between any two configurations


def main(folder: str, gpus: float) -> None:
    given = look(gpus)
    found: dict[str, Any] = {
        "gpus": [dataclasses.asdict(gpu) for gpu in all_gpus().values()],
        "driver": driver_trouble(),
        "trouble": device_trouble(given),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    model = ModelSpec(name="m", path=folder, gpus=gpus)
    share = given.allowance(1).share
    arguments = engine_arguments(model, inspect_model(model, "m"), Path(folder), 7, share)
    print(json.dumps(found | {"arguments": arguments, **compare(arguments)}))


def compare(arguments: dict[str, Any]) -> dict[str, Any]:
    """Compares the configuration of an engine with the one that vLLM's ``LLM`` makes for the model alone."""
    from vllm import EngineArgs
    from vllm.usage.usage_lib import UsageContext

    kept = {key: arguments[key] for key in ("model", "seed", "tensor_parallel_size") if key in arguments}
    ours, theirs = (
        flat(EngineArgs(**given).create_engine_config(UsageContext.LLM_CLASS))
        for given in (arguments, {**kept, "disable_log_stats": True})
    )
    different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    seqs, tokens = (int(ours[f"scheduler_config.{key}"]) for key in ("max_num_seqs", "max_num_batched_tokens"))
    return {"fields": len(ours), "different": different, "seqs": seqs, "tokens": tokens}


def flat(config: Any, path: str = "") -> dict[str, str]:
    """Returns every field of a configuration and of those inside it, as text by its path."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name, None), f"{path}{field.name}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= flat(value, f"{name}.")
        elif field.name not in OF_ITSELF and " at 0x" not in repr(value):
            found[name] = repr(value)
    return found


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
