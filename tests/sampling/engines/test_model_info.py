import json
from pathlib import Path

import pytest

from sampling.engines.model_info import _own_dtype, inspect_model
from sampling.errors import BadInput
from sampling.settings import ModelSpec
from tests.support.places import SMALL_MODEL


def spec(path: Path | str, **changes: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "m", "path": str(path), **changes})


def test_the_demo_models_shape_is_read_from_its_files() -> None:
    info = inspect_model(spec(SMALL_MODEL), "models.m")
    config = json.loads((SMALL_MODEL / "config.json").read_text())
    assert (info.layers, info.hidden) == (config["num_hidden_layers"], config["hidden_size"])
    assert info.parameters is not None
    assert 50_000 < info.parameters < 500_000


def test_other_weights_are_another_revision(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((SMALL_MODEL / name).read_bytes())
    before = inspect_model(spec(tmp_path), "m").revision
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    assert inspect_model(spec(tmp_path), "m").revision != before


def test_where_a_model_lies_is_no_part_of_what_it_is(tmp_path: Path) -> None:
    assert spec(SMALL_MODEL).distribution == spec(SMALL_MODEL.parent / "." / "small").distribution


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"models\.m\.path: .* has no config\.json"):
        inspect_model(spec(tmp_path), "models.m")


def test_a_hub_id_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="the hub cannot be reached"):
        inspect_model(spec("nobody/nothing-at-all"), "models.m")


@pytest.mark.parametrize(
    ("config", "context", "most"),
    [
        ({"n_positions": 1024}, 1024, 1024),
        ({"max_position_embeddings": 4096, "model_max_length": 8192}, 8192, 8192),
        ({"max_position_embeddings": 2048, "rope_scaling": {"type": "linear", "factor": 4.0}}, 8192, None),
        ({"max_position_embeddings": 8192, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, 8192, None),
        (
            {
                "max_position_embeddings": 131072,
                "original_max_position_embeddings": 4096,
                "rope_scaling": {"type": "longrope"},
            },
            4096,
            None,
        ),
        ({"max_position_embeddings": 512, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, 512, 512),
        ({"text_config": {"max_position_embeddings": 64}}, 64, 64),
        ({}, None, None),
    ],
)
def test_the_context_is_what_vllm_derives(
    tmp_path: Path, config: dict[str, object], context: int | None, most: int | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    info = inspect_model(spec(tmp_path), "m")
    assert (info.max_model_len, info.most_model_len) == (context, most)


@pytest.mark.parametrize(
    ("configs", "named"),
    [
        ([{"dtype": "bfloat16"}, {}], "bfloat16"),
        ([{"torch_dtype": "torch.float16"}], "float16"),
        ([{}, {"dtype": "float32"}], "float32"),  # of a text_config
        ([{"dtype": "float8_e4m3fn"}], ""),
        ([{}, {}], ""),  # vLLM looks at the weights: their format is not to be guessed
    ],
)
def test_the_number_format_is_what_the_config_names(configs: list[dict[str, str]], named: str) -> None:
    assert _own_dtype(*configs) == named
