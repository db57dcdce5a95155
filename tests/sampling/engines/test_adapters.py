"""LoRA adapters before any engine starts: what is known of them, which models share an engine, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sampling.engines.adapters import Variant, adapter_warning, inspect_adapted, lora_arguments, start_key
from sampling.engines.model_info import AdapterInfo, ModelInfo
from sampling.engines.weights import local_weights
from sampling.errors import BadInput
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.model import Adapter
from tests.support.adapters import save_adapter
from tests.support.places import SMALL_MODEL
from tests.support.s3_server import S3Server


def inspected(folder: Path, base: Path | str = SMALL_MODEL) -> ModelInfo:
    adapter = Adapter(name="a", path=str(folder))
    return inspect_adapted(ModelSpec(name="small+a", path=str(base), adapter=adapter), "models.small+a")


def test_the_revision_of_the_weights_holds_both_and_follows_the_adapters_files(tmp_path: Path) -> None:
    found = inspected(save_adapter(tmp_path / "a", 1))
    assert found.adapter is not None and found.adapter.rank == 4
    assert found.weights == f"{found.revision}+{found.adapter.revision}"
    (tmp_path / "a" / "README.md").write_text("other words")
    (tmp_path / "a" / "tokenizer.json").write_text("{}")  # vLLM takes the base's tokenizer
    assert inspected(tmp_path / "a") == found
    other = inspected(save_adapter(tmp_path / "b", 2))
    assert other.revision == found.revision and other.weights != found.weights
    assert inspected(save_adapter(tmp_path / "c", 1, lora_alpha=9)).weights != found.weights


def with_other_modules(folder: Path) -> None:
    tensors = {f"base_model.model.model.layers.0.self_attn.q_proj.lora_{part}.weight": np.zeros(shape, np.float32)
               for part, shape in (("A", (4, 96)), ("B", (64, 4)))}  # fmt: skip
    save_file(tensors, folder / "adapter_model.safetensors")


def with_another_layer(folder: Path) -> None:
    tensors = {f"base_model.model.model.layers.2.self_attn.q_proj.lora_{part}.weight": np.zeros(shape, np.float32)
               for part, shape in (("A", (4, 64)), ("B", (64, 4)))}  # fmt: skip
    save_file(tensors, folder / "adapter_model.safetensors")


def of_another_folder(folder: Path) -> None:
    said = json.loads((folder / "adapter_config.json").read_text())
    large = str(SMALL_MODEL.with_name("large"))
    (folder / "adapter_config.json").write_text(json.dumps(said | {"base_model_name_or_path": large}))


def damaged(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 64)


def without_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_other_modules, "layers.0.self_attn.q_proj for weights of [64, 96], but the model's are [64, 64]"),
        (with_another_layer, "has weights for layer 2 of a model with 2 layers"),
        (of_another_folder, "is an adapter of"),
        (damaged, "has a damaged adapter_model.safetensors"),
        (without_weights, "lacks adapter_config.json or adapter_model.safetensors"),
    ],
)
def test_an_adapter_of_another_model_or_without_its_files_is_refused(
    tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    change(save_adapter(tmp_path / "a", 1))
    with pytest.raises(BadInput) as caught:
        inspected(tmp_path / "a")
    assert str(caught.value).startswith("models.small+a.adapter: ") and said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "IA3"}, "peft_type IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias all"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights pissa"),
        ({"r": 1024}, "rank 1024"),
        ({"rank_pattern": {"q_proj": 600}}, "rank 600"),
        ({"r": 0}, "is no LoRA config"),
        ({"r": "many"}, "is no LoRA config"),
    ],
)
def test_what_vllm_does_not_serve_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    save_adapter(tmp_path / "a", 1, **config)
    with pytest.raises(BadInput) as caught:
        inspected(tmp_path / "a")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_same_base_in_another_folder_and_a_base_that_is_not_here_are_taken(tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(SMALL_MODEL)
    for number, base in enumerate([str(tmp_path / "copy"), "/nowhere/small", "owner/small", None, str(SMALL_MODEL)]):
        assert inspected(save_adapter(tmp_path / str(number), 1, base_model_name_or_path=base)).adapter


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("owner/other", True), ("/gone/checkpoint-9", True),
        ("owner/Small", False), ("/gone/small/", False), (None, False), (str(SMALL_MODEL), False),
    ],
)  # fmt: skip
def test_a_base_that_nothing_here_knows_is_told(tmp_path: Path, base: str | None, told: bool) -> None:
    adapter = Adapter(name="a", path=str(save_adapter(tmp_path / "a", 1, base_model_name_or_path=base)))
    model = ModelSpec(name="m", path=str(SMALL_MODEL), adapter=adapter)
    found = adapter_warning(model, inspect_adapted(model, "models.m"))
    assert (found is not None) == told and (not told or f"adapter a: is of {base!r}" in str(found))


def test_a_snapshot_of_the_hub_librarys_cache_has_its_hub_id(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Owner--Small-1.5B" / "snapshots" / "c0ffee"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(SMALL_MODEL)
    assert inspected(save_adapter(tmp_path / "a", 1, base_model_name_or_path="owner/small-1.5b"), snapshot).adapter
    with pytest.raises(BadInput, match="is an adapter of 'owner/small-7b'"):
        inspected(save_adapter(tmp_path / "b", 1, base_model_name_or_path="owner/small-7b"), snapshot)


def test_an_adapter_in_a_bucket_is_known_and_fetched(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**moto.environment(), "AWS_ENDPOINT_URL": moto.endpoint, "TROOP_CACHE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    client = moto.client()
    client.create_bucket(Bucket="lora")
    for path in save_adapter(tmp_path / "a", 1).iterdir():
        client.upload_file(str(path), "lora", f"a/{path.name}")
    model = ModelSpec(name="m", path=str(SMALL_MODEL), adapter=Adapter(name="a", path="s3://lora/a"))
    found = inspect_adapted(model, "models.m").adapter
    assert found is not None and found.rank == 4
    fetched = local_weights("s3://lora/a", found.revision)
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()
    }
    client.delete_object(Bucket="lora", Key="a/adapter_model.safetensors")
    client.close()
    with pytest.raises(BadInput, match=r"'s3://lora/a' lacks adapter_config.json or adapter_model.safetensors"):
        inspect_adapted(model, "models.m")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub library's cache with the config of two models and of an adapter, and no hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def hold(folder: Path, name: str) -> None:
    """Puts a model's config into the hub library's cache."""
    held = folder / "hub" / f"models--{name.replace('/', '--')}"
    (held / "snapshots" / "c0ffee").mkdir(parents=True)
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text("c0ffee")
    (held / "snapshots" / "c0ffee" / "config.json").write_text((SMALL_MODEL / "config.json").read_text())


@pytest.mark.parametrize(("base", "taken"), [("Owner/Small", True), ("owner/other", False), ("./small", True)])
def test_hub_ids_of_bases_are_compared(tmp_path: Path, hub: None, base: str, taken: bool) -> None:
    hold(tmp_path, "owner/small")
    save_adapter(tmp_path / "a", 1, base_model_name_or_path=base)
    if taken:
        assert inspected(tmp_path / "a", "owner/small").weights.startswith("c0ffee+")
        return
    with pytest.raises(BadInput, match=r"is an adapter of 'owner/other', not of 'owner/small'"):
        inspected(tmp_path / "a", "owner/small")


def test_of_a_hub_model_the_config_tells_what_does_not_fit(tmp_path: Path, hub: None) -> None:
    hold(tmp_path, "owner/small")
    with_other_modules(save_adapter(tmp_path / "a", 1, base_model_name_or_path=None))
    with pytest.raises(BadInput, match="reads 96 numbers a token, but the model's hidden size is 64"):
        inspected(tmp_path / "a", "owner/small")


def variant(settings: SamplingSettings | None = None, rank: int | None = None, **spec: Any) -> Variant:
    model = ModelSpec.model_validate({"name": "m", "path": "p", **spec})
    info = ModelInfo("r", adapter=None if rank is None else AdapterInfo(f"of rank {rank}", rank))
    return Variant(model, info, settings or SamplingSettings())


def test_models_share_an_engine_where_its_start_is_the_same() -> None:
    key = start_key(variant())
    requests = [
        variant(name="other", k=3, tasks=["t"], baseline=True, weight=2, series={"adapter": "a"}),
        variant(SamplingSettings(temperature=0.5, max_tokens=7, logprobs=3, token_ids=True)),
        variant(sampling={"temperature": 0.2}, varied={"temperature": 0.1}),
    ]
    assert key is not None and {start_key(one) for one in requests} == {key}
    starts = [
        variant(path="q"), variant(revision="x"), variant(vllm={"enable_prefix_caching": False}), variant(gpus=2),
        variant(SamplingSettings(thinking_token_budget=9, chat_template="x")), variant(dtype="float32"),
        variant(thinking="none"), variant(prices={"per_engine_hour": 1}), variant(engines=2), variant(max_model_len=64),
    ]  # fmt: skip
    assert len({key, *map(start_key, starts)}) == 1 + len(starts)
    assert start_key(variant(engine="openai", base_url="http://h")) is None


def test_adapters_of_a_model_share_an_engine_and_the_model_itself_has_another() -> None:
    """Requests without an adapter would be given another's, on a CPU: see test_lora.py."""
    first, second = (start_key(variant(rank=rank, adapter={"name": str(rank), "path": "a"})) for rank in (4, 8))
    assert first == second != start_key(variant())


def test_engine_arguments_cover_all_adapters() -> None:
    assert lora_arguments([ModelInfo("r")]) == {}
    infos = [variant(rank=rank).info for rank in (4, 9)]
    expected = {"enable_lora": True, "max_loras": 2, "max_cpu_loras": 2, "max_lora_rank": 16}
    assert lora_arguments([ModelInfo("r"), *infos]) == expected
    assert lora_arguments([*infos, *infos]) == expected  # the points of a grid have the same adapter
    many = lora_arguments([variant(rank=rank).info for rank in range(1, 21)])
    assert (many["max_loras"], many["max_cpu_loras"]) == (8, 20)
