"""Parameters that vLLM is asked for a completion with, and the numbers that it gives back for each token."""

from array import array
from collections.abc import Sequence
from typing import Any

from sampling.engines.prompts import FOR_PROMPTS
from sampling.samples import NO_LISTS, TokenLists
from sampling.settings import SamplingSettings


def sampling_params(settings: SamplingSettings, stop: tuple[str, ...], *, keeps_marks: bool = False) -> Any:
    """Returns vLLM's sampling parameters; what a chat template takes is not among them.

    With ``keeps_marks`` special tokens stay in the text, unless the settings say something of them. vLLM copies them
    for every sample, deeply only where it writes into what they hold, since short samples notice.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    given = {key: value for key, value in settings.given_keys.items() if key not in FOR_PROMPTS}
    if keeps_marks:
        given = {"skip_special_tokens": False} | given
    if settings.thinking_token_budget is not None:
        given["thinking_token_budget"] = settings.thinking_token_budget
    if form := given.get("structured_outputs"):
        given["structured_outputs"] = StructuredOutputsParams(**form)
    return SamplingParams(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k or -1,
        max_tokens=settings.max_tokens,
        stop=[*settings.stop, *stop],
        logprobs=(settings.top_logprobs or 0) if settings.logprobs else None,
        flat_logprobs=bool(settings.logprobs),
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone="structured_outputs" not in given,
        **given,
    )


def rendered(tokens: Sequence[int]) -> Any:
    """Returns a prompt as vLLM's renderer would; one serves all requests with these tokens."""
    from vllm.inputs import tokens_input

    return tokens_input(list(tokens))


def token_lists(settings: SamplingSettings, tokens: Sequence[int], flat: Any) -> TokenLists:
    """Returns the numbers that a completion's settings ask to store; ``flat`` are vLLM's FlatLogprobs of its tokens.

    These hold, for each token, its own log probability and then those of the most probable ones.
    """
    ids, top = array("i", tokens) if settings.token_ids else None, settings.top_logprobs
    if top is None:
        return NO_LISTS if ids is None else TokenLists(ids)
    places = range(len(tokens))
    starts = [flat.start_indices[place] for place in places]
    return TokenLists(
        token_ids=ids,
        token_logprobs=array("f", [flat.logprobs[start] for start in starts]),
        top_token_ids=array("i", [one for at in starts for one in flat.token_ids[at + 1 : at + 1 + top]]),
        top_logprobs=array("f", [one for at in starts for one in flat.logprobs[at + 1 : at + 1 + top]]),
    )
