"""The choice of engine for a model. It is apart from the protocol, which all engines import."""

from collections.abc import Sequence

from sampling.engines.adapters import Variant
from sampling.engines.engine import Engine
from sampling.engines.gpu_memory import ONE_THREAD, Allowance
from sampling.engines.model_info import ModelInfo
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings


def start_engine(
    model: ModelSpec,
    info: ModelInfo,
    settings: SamplingSettings,
    seeds: Seeds,
    allowance: Allowance = ONE_THREAD,
    sharing: Sequence[Variant] = (),
) -> Engine:
    """Starts the engine of a model, or of all models of ``sharing``, which have one start key.

    Raises EngineError, and EngineRefused where it can never run with its allowance.
    """
    if model.engine == "openai":
        from sampling.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(model, settings, seeds)
    if model.engine == "replay":
        from sampling.engines.replay_engine import ReplayEngine

        return ReplayEngine(model)
    from sampling.engines.vllm_engine import VllmEngine

    return VllmEngine(Variant(model, info, settings), sharing, seeds, allowance)
