"""A model's own sampling settings, from the generation_config.json beside its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from sampling.engines.model_info import hub_file
from sampling.errors import BadInput, EngineError
from sampling.problems import load_json, read_text
from sampling.s3_folder import S3, S3Folder
from sampling.settings import ModelSpec, SamplingSettings

FILE = "generation_config.json"


class ModelDefaults(BaseModel):
    """Keys of generation_config.json that decide samples, as vLLM's server takes them; others are ignored."""

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)


def model_defaults(model: ModelSpec, where: str) -> dict[str, Any]:
    """Returns the values that a model's generation_config.json gives; raises BadInput where there is none to read."""
    try:
        data = load_json(_read(model, where), f"{where}: {FILE}")
        given = ModelDefaults.model_validate(data).model_dump(exclude_none=True)
    except ValueError as error:
        raise BadInput(f"{where}: {FILE} holds no settings that an engine takes ({error})".split("\n")[0]) from error
    return given | ({"top_k": 0} if given.get("top_k") == -1 else {})


def fill_in(settings: SamplingSettings, defaults: Mapping[str, Any]) -> SamplingSettings:
    """Returns the settings with a model's values for keys that nobody gave."""
    return settings.model_copy(update=left_open(settings, defaults))


def left_open(settings: SamplingSettings, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of a model's values that hold: of keys that the settings leave out."""
    return {key: value for key, value in defaults.items() if key not in settings.model_fields_set}


def _read(model: ModelSpec, where: str) -> str:
    missing = f"{where}: the model has no {FILE}; set generation_config: none, or give the values in the sweep"
    folder = Path(model.path)
    try:
        if model.path.startswith(S3):
            bucket = S3Folder.parse(model.path)
            if FILE not in bucket.files:
                raise BadInput(missing)
            return bucket.read(FILE).decode("utf-8-sig", "replace")
        if not folder.is_dir():
            return read_text(hub_file(model, FILE, where))
    except EngineError as error:
        raise BadInput(f"{where}: {error}") from error
    if not (folder / FILE).is_file():
        raise BadInput(missing)
    return read_text(folder / FILE)
