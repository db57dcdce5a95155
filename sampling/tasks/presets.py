"""Published experiments by name: the settings that ``preset: monkeys`` fills in where the user gives none.

``monkeys`` is "Large Language Monkeys" (Brown et al. 2024, arXiv 2407.21787, appendix A and its repository
ScalingIntelligence/large_language_monkeys). The paper decides the number of problems, which are left out, the number
of examples, the sampling settings and k. It does not decide the wording of the prompts, which is Troop's own
(``prompts/``), nor which 128 problems of GSM8K and MATH are drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sampling.settings import TaskSampling

PresetName = Literal["monkeys"]
OF_PROBLEMS = ("limit", "shuffle", "shots", "only", "without")


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of one experiment for one kind of task; fields as in ``TaskSpec``.

    ``shots`` None: the fixed examples of the kind.
    """

    k: int
    sampling: TaskSampling
    limit: int | None = None
    shuffle: bool = False
    shots: int | None = None
    only: str | None = None
    without: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, object]:
        """The values that the preset sets, by the names of a task's keys."""
        named = {name: getattr(self, name) for name in ("k", *OF_PROBLEMS)}
        return {k: v for k, v in named.items() if v not in (None, False, ())} | self.sampling.model_dump(
            exclude_none=True
        )


def _settings(temperature: float, max_tokens: int | None, top_p: float = 1.0) -> TaskSampling:
    return TaskSampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)


PRESETS: Mapping[str, Mapping[str, Preset]] = {
    "monkeys": {
        "gsm8k": Preset(10_000, _settings(0.6, 512), limit=128, shuffle=True, shots=5),
        "math": Preset(10_000, _settings(0.6, 512), limit=128, shuffle=True),
        "codecontests": Preset(10_000, _settings(0.6, 1024, top_p=0.95), shots=2, without=("<image>", "[Image]")),
        "minif2f": Preset(10_000, _settings(0.5, 200), only="mathd_*"),
        "swebench": Preset(250, _settings(1.6, None)),
    },
}


def preset_of(name: str | None, kind: str) -> Preset | None:
    """Returns the preset for a kind of task, None without a name; raises ValueError where the experiment has none."""
    if name is None:
        return None
    if kind not in PRESETS[name]:
        raise ValueError(f"preset {name!r} has no tasks of kind {kind!r}; it has: {', '.join(PRESETS[name])}")
    return PRESETS[name][kind]
