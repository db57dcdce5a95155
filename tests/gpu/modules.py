"""Prints as JSON the modules of vLLM's model registry that cannot be imported, each with its error."""

import importlib
import json


def main() -> None:
    from vllm.model_executor.models.registry import ModelRegistry

    modules = sorted({model.module_name for model in ModelRegistry.models.values()})
    failed = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - each is shown
            failed[module.rpartition(".")[2]] = f"{type(error).__name__}: {error}"
    print(json.dumps({"modules": len(modules), "failed": failed}))


if __name__ == "__main__":
    main()
