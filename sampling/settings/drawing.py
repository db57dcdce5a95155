"""Settings for drawing completions, under the names that vLLM gives them."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from sampling.validate import Plain

StopString = Annotated[str, Field(min_length=1)]  # no engine takes an empty one: it would end every completion
TokenId = Annotated[int, Field(ge=0)]
OF_THE_TOKENIZER = {
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "documents", "max_length",
    "messages", "padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "tokenize",
    "tokenizer_kwargs", "tools", "truncation",
}  # fmt: skip
Penalty = Annotated[float, Field(ge=-2, le=2)]


class StructuredOutputs(Plain):
    """A form that every completion must have; give exactly one key. vLLM then draws only tokens that fit the form."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    json_schema: dict[str, Any] | None = Field(default=None, alias="json")
    """JSON Schema of the completion. Example: `{type: object, properties: {answer: {type: integer}}}`."""

    regex: str | None = Field(default=None, min_length=1)
    """Regular expression that the whole completion matches. Example: `"[0-9]{1,3}"`."""

    choice: tuple[StopString, ...] | None = Field(default=None, min_length=1)
    """Texts of which the completion is one. Example: `[A, B, C, D]`."""

    grammar: str | None = Field(default=None, min_length=1)
    """Grammar of the completion, in EBNF as vLLM's backend takes it. Example: `root ::= "yes" | "no"`."""

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if sum(value is not None for value in (self.json_schema, self.regex, self.choice, self.grammar)) != 1:
            raise ValueError("give one of json, regex, choice, grammar")
        return self


class DrawingKeys(Plain):
    """Keys that a sweep, a model and a task may all set. A key that is left out is not passed to the engine."""

    min_p: float | None = Field(default=None, ge=0, le=1)
    """Least probability of a token, as a share of the most probable token's. Default: 0. Example: `0.05`."""

    presence_penalty: Penalty | None = None
    """Amount taken from the logit of every token that the completion already has, from -2 to 2. Default: 0."""

    frequency_penalty: Penalty | None = None
    """Amount taken from a token's logit for each time that the completion has it, from -2 to 2. Default: 0."""

    repetition_penalty: float | None = Field(default=None, gt=0)
    """Factor by which tokens of the prompt and the completion get less probable; below 1 more. Default: 1."""

    stop_token_ids: tuple[TokenId, ...] | None = None
    """Ids of tokens that end a completion, beside the model's own end. Default: none. Example: `[151645]`."""

    min_tokens: int | None = Field(default=None, ge=0)
    """Fewest tokens of a completion: before that, no token may end it. Default: 0."""

    ignore_eos: bool | None = None
    """True goes on after the model's end token, up to `max_tokens`. Default: `false`."""

    bad_words: tuple[StopString, ...] | None = None
    """Texts that a completion may not contain, as tokens in a row. Default: none. Example: `["```"]`."""

    logit_bias: dict[TokenId, float] | None = None
    """Amounts added to the logits of tokens, by token id. Default: none. Example: `{1234: -100}`."""

    structured_outputs: StructuredOutputs | None = None
    """Form that every completion must have: a JSON Schema, a regular expression, a choice, a grammar. Default: any."""

    skip_special_tokens: bool | None = None
    """False keeps special tokens such as `<|im_end|>` in the text. Default: `true`."""

    system: str | None = Field(default=None, min_length=1)
    """System message of every chat, in place of the task's own. Only for tasks with messages. Default: none."""

    chat_template_kwargs: dict[str, Any] | None = None
    """Values for the model's chat template. Default: none. Example: `{enable_thinking: false}`."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # some values are dictionaries

    @field_validator("chat_template_kwargs")
    @classmethod
    def _leaves_the_tokenizers_own(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if taken := sorted(OF_THE_TOKENIZER & (value or {}).keys()):
            raise ValueError(f"{taken[0]} is set by Troop; allowed: what the template itself reads")
        return value

    @field_validator("stop", mode="before", check_fields=False)
    @classmethod
    def _one_stop_string(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("top_k", mode="before", check_fields=False)
    @classmethod
    def _all_tokens(cls, value: object) -> object:
        return 0 if isinstance(value, int) and value == -1 else value  # both are vLLM's words for all tokens

    @property
    def given_keys(self) -> dict[str, Any]:
        """Keys of this class that are set, under vLLM's names, as plain values; token ids stay numbers."""
        given = self.model_dump(exclude_none=True, include=set(DrawingKeys.model_fields))
        return {key: _listed(value) for key, value in given.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


class SamplingSettings(DrawingKeys):
    """Settings for drawing completions. Every key changes the samples, so it is part of a run's identity."""

    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature; 0 always takes the most probable token. Example: `0.6`."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: draws among the most probable tokens that together reach this probability; 1 means all."""

    top_k: int = Field(default=0, ge=0)
    """Draws among this many most probable tokens; 0 or -1 means all.

    A service is told of 0 only where it is vLLM or SGLang, which would fill in the model's own default.
    """

    max_tokens: int = Field(default=512, ge=1)
    """Most tokens in one completion; a completion that reaches it ends with ``finish_reason`` length."""

    stop: tuple[StopString, ...] = ()
    """Strings that end a completion, in addition to those of the task's prompt format; they are not in the text.

    Example: `["\\nQuestion:"]`.
    """

    seed: Literal["per_engine", "per_sample"] = "per_engine"
    """Source of random numbers: ``per_engine`` is one stream for each start of an engine.

    ``per_sample`` derives a seed for each sample from the sweep's seed, the model, the problem and the sample's index:
    slower, but each sample can be drawn again. A service is sent that seed, and asked for one sample at a time; with
    ``per_engine`` it is sent no seed.
    """

    thinking_token_budget: int | None = Field(default=None, ge=0)
    """Most tokens of a thought: then its closing mark is forced, and the answer begins. Default: no limit.

    The model's chat template must show its marks, or its key `thinking` name them. Example: `2048`.
    """

    chat_template: str | None = Field(default=None, min_length=1)
    """Chat template in place of the model's own: a Jinja file, relative to the sweep's file. Default: the model's.

    The run's plan holds its text. Only for vllm. Example: `templates/plain.jinja`.
    """

    generation_config: Literal["model", "none"] = "none"
    """Values for keys that nobody gives: ``model`` takes those of the model's generation_config.json.

    It may give `temperature`, `top_p`, `top_k`, `min_p` and `repetition_penalty`, and `troop plan` shows what it gave.
    ``none`` takes Troop's own defaults. Only for vllm; vLLM's server does as ``model`` does.
    """

    logprobs: bool | Annotated[int, Field(ge=1)] = False
    """Stores the sum of the log probabilities of each completion's tokens, in the column ``logprob`` of samples.

    A number N also stores each token's own, in ``token_logprobs``, and those of the N most probable tokens in its
    place, in ``top_token_ids`` and ``top_logprobs``. N is only for vllm, and at most 20 or ``vllm.max_logprobs``.
    """

    token_ids: bool = False
    """Stores the ids of each completion's tokens, in the column ``token_ids`` of samples. Only for vllm."""

    @property
    def top_logprobs(self) -> int | None:
        """Number of most probable tokens whose log probabilities are stored for each token; None stores no lists."""
        return None if isinstance(self.logprobs, bool) else self.logprobs

    @property
    def token_bytes(self) -> int:
        """Bytes of the lists that are stored, for each token."""
        return 4 * self.token_ids + (0 if self.top_logprobs is None else 4 + 8 * self.top_logprobs)


class TaskSampling(DrawingKeys):
    """Sampling settings of one task, in place of the sweep's.

    A key that is not given has the value that the sweep gives, else the preset's, else the sweep's default.
    """

    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature on this task; 0 takes the most probable token. Default: the sweep's or the preset's."""

    top_p: float | None = Field(default=None, gt=0, le=1)
    """Probability that nucleus sampling draws from on this task; 1 means all. Default: the sweep's or the preset's."""

    top_k: int | None = Field(default=None, ge=0)
    """Number of most probable tokens to draw from on this task; 0 means all. Default: the sweep's or the preset's."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens in one completion on this task. Default: the sweep's or the preset's."""

    stop: tuple[StopString, ...] | None = None
    """Stop strings in place of the sweep's; stop strings of the task's prompt format always hold.

    Default: the sweep's or the preset's.
    """
