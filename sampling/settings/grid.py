"""Grids and series: a list on a sampling key, or several checkpoints or adapters, make several models of one.

All of it happens on the data of a sweep's file, before its keys are checked; a plan stores the models that came out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from sampling.errors import BadInput
from sampling.settings.drawing import TaskSampling

MOST_CELLS = 10_000
LISTS = {"stop", "stop_token_ids", "bad_words"}  # a list is one value of these
GRID_KEYS = TaskSampling.model_fields.keys() - LISTS - {"logit_bias", "structured_outputs", "chat_template_kwargs"}
_NUMBER = re.compile(r"\d+(?!.*\d)")


def expand(data: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Returns a sweep's data with a model for each checkpoint, adapter and point of a grid; raises BadInput.

    ``folder`` is the folder of the sweep's file, from which a pattern of checkpoints starts.
    """
    models, shared = data.get("models"), data.get("sampling")
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        return data  # the error of that comes with the other keys
    common, rest = _lists(shared)
    if common and models and all("sampling" in model for model in models):
        raise BadInput(f"{where}: sampling.{next(iter(common))}: every model has its own sampling; put the list there")
    made = [point for model in models for point in _models(model, common, folder, where)]
    tasks = data.get("tasks")
    cells = len(made) * len(tasks if isinstance(tasks, list) else [0])
    if len(made) > len(models) and cells > MOST_CELLS:
        raise BadInput(f"{where}: the grid has {cells:,} cells (models × tasks); allowed: up to {MOST_CELLS:,}")
    return data | {"models": made} | ({"sampling": rest} if common else {})


def _models(
    model: dict[str, Any], common: Mapping[str, list[Any]], folder: Path, where: str
) -> Iterator[dict[str, Any]]:
    own, rest = _lists(model.get("sampling"))
    lists = own if "sampling" in model else common  # a model's own settings stand in place of the sweep's
    checked = model | ({"sampling": rest} if own else {})
    for one in (adapted for made in _checkpoints(checked, folder, where) for adapted in _adapters(made, where)):
        if not lists:
            yield one
            continue
        for values in product(*lists.values()):
            yield _point(one, dict(zip(lists, values, strict=True)))


def _lists(sampling: object) -> tuple[dict[str, list[Any]], Any]:
    """Returns the keys of a grid with their values, and the other keys."""
    if not isinstance(sampling, dict):
        return {}, sampling
    lists = {key: value for key, value in sampling.items() if key in GRID_KEYS and isinstance(value, list) and value}
    return lists, {key: value for key, value in sampling.items() if key not in lists}


def _point(model: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    said = ",".join(f"{key}={getattr(value, 'text', value)}" for key, value in values.items())
    return model | {
        "name": f"{model.get('name')}@{said}",
        "varied": dict(values),
        "series": {**model.get("series", {}), **values},
    }


def _checkpoints(model: dict[str, Any], folder: Path, where: str) -> Iterator[dict[str, Any]]:
    given = model.get("checkpoints")
    if given is None:
        yield model
        return
    rest, name = _without(model, "checkpoints", where)
    if isinstance(given, list):
        if not given or "revision" in model:
            raise BadInput(f"{name}: a list of the model's revisions, at least one, and no key revision beside it")
        places = [(str(getattr(one, "text", one)), {"revision": str(getattr(one, "text", one))}) for one in given]
    else:
        places = [(path.name, {"path": str(path)}) for path in _folders(model, str(given), folder, name)]
    for title, place in places:
        series = {**rest.get("series", {}), "checkpoint": _step(title)}
        yield rest | place | {"name": f"{model.get('name')}@{title}", "series": series}


def _without(model: Mapping[str, Any], key: str, where: str) -> tuple[dict[str, Any], str]:
    """Returns a model without one of its keys, and the key's place for an error."""
    return {name: value for name, value in model.items() if name != key}, f"{where}: models.{model.get('name')}.{key}"


def _adapters(model: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    given = model.get("adapters")
    if given is None:
        yield model
        return
    rest, name = _without(model, "adapters", where)
    if (engine := model.get("engine", "vllm")) != "vllm":
        raise BadInput(f"{name}: engine {engine} cannot do it; engine vllm can")
    if not isinstance(given, dict) or not given or "adapter" in model:
        raise BadInput(f"{name}: the name and place of each adapter, as {{math: runs/math}}, and no key adapter beside")
    for title, path in given.items():
        series = {**rest.get("series", {}), "adapter": str(title)}
        adapter = {"name": str(title), "path": path}
        yield rest | {"name": f"{model.get('name')}+{title}", "adapter": adapter, "series": series}


def _folders(model: Mapping[str, Any], pattern: str, folder: Path, name: str) -> Sequence[Path]:
    """Returns the folders that a pattern matches, by the numbers in their names."""
    if "path" in model:
        raise BadInput(f"{name}: a pattern of folders stands in place of path; leave path out")
    place = Path(pattern).expanduser()
    root = Path(place.anchor) if place.is_absolute() else folder
    parts = str(place.relative_to(place.anchor) if place.is_absolute() else place)
    found = [path.absolute() for path in root.glob(parts) if path.is_dir()]  # a relative one looks like a hub id
    if not found:
        raise BadInput(
            f"{name}: no folder matches {pattern!r} below {str(root)!r}; allowed: a pattern such as runs/step_*"
        )
    return sorted(found, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)])


def _parts(name: str) -> list[str]:
    """Returns a name's text and numbers in turn, text first, so that names can be compared part by part."""
    return re.split(r"(\d+)", name)


def _step(title: str) -> float | str:
    """Returns the last number in a checkpoint's name, its place in the series; the name where it has none."""
    number = _NUMBER.search(title)
    return int(number[0]) if number and not re.fullmatch(r"[0-9a-f]{7,40}", title) else title
