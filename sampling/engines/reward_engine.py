"""A reward model in vLLM's pooling runner: it takes texts and returns one score for each."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from sampling.engines.gpu_memory import Allowance
from sampling.engines.model_info import inspect_folder
from sampling.engines.reward import Reading, RewardModel, Score, Text, read, refuse_without_head, score_of
from sampling.engines.vllm_engine import close_llm_engine, device_name, last_line, start_llm_engine, vllm_version
from sampling.engines.vllm_params import rendered
from sampling.engines.weights import local_weights
from sampling.errors import EngineError, EngineRefused

REMEMBERED = 50_000  # scores kept across calls
_Key = tuple[tuple[str, int], bytes]


class RewardEngine:
    """An engine of a reward model, used by one thread at a time. Equal completions of a problem are scored once.

    Raises EngineError where it does not start, EngineRefused where it never can.
    """

    def __init__(self, model: RewardModel, allowance: Allowance) -> None:
        folder = local_weights(model.spec.path, model.info.revision, model.spec.s3_options)
        refuse_without_head(
            model.spec.path, inspect_folder(folder, "--model")
        )  # the weights of a hub model are first seen here
        self._model = model
        self._engine = start_llm_engine(model.spec, model.info, 0, allowance)
        self.version, self.device = vllm_version(), device_name(allowance.share)
        self._tokenizer: Any = self._engine.get_tokenizer()
        if model.settings.template == "chat" and not getattr(self._tokenizer, "chat_template", None):
            self.close()
            raise EngineRefused(f"{model.spec.path}: has no chat template; leave --template out, or give plain")
        self._longest: int = self._engine.vllm_config.model_config.max_model_len
        self._known: OrderedDict[_Key, Score] = OrderedDict()

    def score(self, texts: Sequence[Text]) -> list[Score]:
        """Returns a score for each text, in order; raises EngineError when the engine is broken."""
        keys = [_key(text) for text in texts]
        known = {key: self._known[key] for key in keys if key in self._known}
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        known |= self._run(fresh)
        self._remember(known)
        return [known[key] for key in keys]

    def close(self) -> None:
        """Frees the device and ends every process of the engine."""
        close_llm_engine(self._engine)

    def _run(self, fresh: dict[_Key, Text]) -> dict[_Key, Score]:
        done: dict[_Key, Score] = {}
        pending: dict[str, tuple[_Key, Reading]] = {}
        for number, (key, text) in enumerate(fresh.items()):
            shown = self._fitting(read(text, self._model, self._tokenizer))
            if isinstance(shown, Score):
                done[key] = shown
            else:
                pending[str(number)] = (key, shown)
        try:
            self._add(pending)
            while pending:
                for output in self._engine.step():
                    key, reading = pending.pop(output.request_id)
                    done[key] = self._scored(output.outputs.data, reading)
        except Exception as error:  # the engine is dead after any error
            raise EngineError(f"model {self._model.spec.name}: vLLM broke ({last_line(error)})") from error
        return done

    def _add(self, pending: dict[str, tuple[_Key, Reading]]) -> None:
        from vllm import PoolingParams

        params = PoolingParams(task=self._model.head.task, use_activation=False)
        for name, (_, reading) in pending.items():
            self._engine.add_request(name, rendered(reading.tokens), params.clone())

    def _fitting(self, shown: Reading | Score) -> Reading | Score:
        if isinstance(shown, Score):
            return shown
        size = len(shown.tokens)
        if size > self._longest:
            return Score(None, f"longer than the reward model's context of {self._longest} tokens", size)
        return shown if size else Score(None, "no token to read")

    def _scored(self, data: Any, reading: Reading) -> Score:
        """Returns the score of raw outputs ``data``, of shape (labels,) for the last token or (tokens, labels)."""
        rows = data.reshape(-1, self._model.labels)
        places = reading.places or [len(rows) - 1]
        return score_of(rows[places].tolist(), self._model, len(reading.tokens))

    def _remember(self, scores: dict[_Key, Score]) -> None:
        for key, score in scores.items():
            self._known[key] = score
            self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _key(text: Text) -> _Key:
    return text.problem, hashlib.blake2b(text.completion.encode("utf-8", "surrogatepass"), digest_size=16).digest()
