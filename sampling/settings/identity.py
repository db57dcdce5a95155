"""Identity of a distribution: what changes the samples of a model, and not how fast they come.

A run holds one distribution per model. Two specs with the same identity may draw the samples of one run.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from typing import Any

# Arguments of vLLM's EngineArgs (0.33) that change speed, memory or logs alone, up to the order of additions in a sum.
# All others count as changing: a new argument of vLLM is never taken for harmless.
NEUTRAL = frozenset(
    {
        "aggregate_engine_logging", "async_scheduling", "block_size", "compilation_config", "cpu_offload_gb",
        "cpu_offload_params", "cudagraph_capture_sizes", "cudagraph_metrics", "custom_histogram_buckets",
        "disable_custom_all_reduce", "disable_log_stats", "distributed_executor_backend", "distributed_timeout_seconds",
        "download_dir", "enable_chunked_prefill", "enable_flashinfer_autotune", "enable_layerwise_nvtx_tracing",
        "enable_logging_iteration_details", "enable_mfu_metrics", "enable_prefix_caching", "enable_sleep_mode",
        "enforce_eager", "gpu_memory_utilization", "hf_token", "kv_cache_memory_bytes", "kv_cache_metrics",
        "kv_offloading_backend", "kv_offloading_size", "log_config_file", "log_level", "logging_config",
        "long_prefill_token_threshold", "max_cpu_loras", "max_cudagraph_capture_size", "max_logprobs", "max_loras",
        "max_num_active_seqs",
        "max_num_batched_tokens", "max_num_scheduled_tokens", "max_num_seqs", "max_parallel_loading_workers",
        "num_gpu_blocks_override", "numa_bind", "numa_bind_cpus", "numa_bind_nodes", "optimization_level",
        "otlp_traces_endpoint", "performance_mode", "pipeline_parallel_size", "prefix_caching_hash_algo",
        "ray_workers_use_nsight", "renderer_num_workers", "safetensors_load_strategy",
        "safetensors_prefetch_block_size", "safetensors_prefetch_num_threads", "scheduling_policy",
        "served_model_name", "shutdown_timeout", "stream_interval", "tensor_parallel_size", "use_tqdm_on_load",
    }
)  # fmt: skip
# Files of a model's folder that an engine reads: configs, tokenizer, templates, code of its own, weights.
READ = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", "*.tiktoken", "*.bpe")
# Weights that are read where there are no safetensors.
READ_ELSE = ("*.bin", "*.pt", "*.pth", "*.gguf")
# Files of such names that tell people of the model, or of its training.
NOT_READ = (
    "readme*", "licen[cs]e*", "*_policy*", "notice*", "changelog*", "requirements*.txt", "*_results.json",
    "trainer_state.json", "training_args.*", "optimizer.*", "scheduler.*", "rng_state*", ".*",
)  # fmt: skip
# Of sampling: what is stored, not what is drawn; and where values came from, which are all in the settings.
NEUTRAL_SETTINGS = frozenset({"logprobs", "token_ids", "generation_config"})
ALWAYS = frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop", "seed"})  # others count where they are set


def identity(distribution: Mapping[str, Any], sampling: Mapping[str, Any], revision: str) -> dict[str, Any]:
    """Returns what decides the samples, of a model's ``distribution``, its ``sampling`` settings and its weights.

    The name of a folder or hub id does not: the revision says what is in it. A service is its model's name alone: it
    may move, and several servers may share the work.
    """
    kept = {key: value for key, value in distribution.items() if key != "vllm"}
    kept.pop("base_url" if distribution.get("engine") == "openai" else "path", None)
    arguments = {key: value for key, value in distribution.get("vllm", {}).items() if key not in NEUTRAL}
    kept_settings = {key: value for key, value in sampling.items() if key not in NEUTRAL_SETTINGS}
    settings = {key: value for key, value in kept_settings.items() if key in ALWAYS or value is not None}
    return {**kept, **{f"vllm.{key}": value for key, value in arguments.items()}, **settings, "weights": revision}


def files_read(names: Iterable[str]) -> list[str]:
    """Returns, sorted, the names of a model's files that an engine reads: a README or a licence changes no sample."""
    held = sorted(name for name in names if not any(fnmatch(name.lower(), pattern) for pattern in NOT_READ))
    has_safetensors = any(name.endswith(".safetensors") for name in held)
    patterns = READ if has_safetensors else READ + READ_ELSE
    return [name for name in held if any(fnmatch(name, pattern) for pattern in patterns)]


def digest(distribution: Mapping[str, Any], sampling: Mapping[str, Any], revision: str) -> str:
    """Returns a hash of the identity; it is stored on every row."""
    parts = identity(distribution, sampling, revision)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns one phrase for each part of an identity that differs."""
    return [_phrase(key, before.get(key), now.get(key)) for key in {**before, **now} if before.get(key) != now.get(key)]


def _phrase(key: str, before: Any, now: Any) -> str:
    name = {"weights": "revision of the weights"}.get(key, key)
    note = " (not known to leave the samples as they are)" if key.startswith("vllm.") else ""
    return f"{name} was {before!r}, is {now!r}{note}"
