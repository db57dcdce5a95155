"""Check of a service before a run: it answers, takes the key and has the model. It finds mistakes in a second."""

import os
from concurrent.futures import ThreadPoolExecutor

from sampling.engines.openai_api import read_models
from sampling.errors import BadInput, EngineError
from sampling.settings import ModelSpec

CHECK_S = 20.0
LISTED = 5
AT_ONCE = 16  # addresses that are asked at a time


def check_service(model: ModelSpec, where: str) -> tuple[str, ...]:
    """Returns those of several addresses that cannot be reached: a run leaves them out until they answer.

    Raises BadInput where the service cannot be used; a service without a list of models passes.
    """
    try:
        key = api_key(model)
    except EngineError as error:
        raise BadInput(f"{where}.api_key_env: set that variable to the key; it is empty, or no key") from error
    with ThreadPoolExecutor(AT_ONCE) as pool:
        missing = [said for said in pool.map(lambda url: _check(url, model, key, where), model.base_urls) if said]
    if len(missing) == len(model.base_urls):
        raise BadInput(f"{where}.base_url: {'; '.join(missing)}; allowed: a server")
    return tuple(missing)


def _check(url: str, model: ModelSpec, key: str, where: str) -> str | None:
    """Returns that an address cannot be reached, or None; raises BadInput for one that is no use."""
    import httpx

    try:
        with httpx.Client(base_url=url, headers=bearer(key), timeout=CHECK_S) as client:
            listed = client.get("models")
            known = [served.id for served in read_models(listed.content)] if listed.status_code == 200 else []
            lacks = bool(known) and model.path not in known and client.get(f"models/{model.path}").status_code == 404
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return f"{url} cannot be reached ({type(error).__name__})"
    if listed.status_code in (401, 403):
        hint = "its key is refused" if key else "it wants a key: name its variable in api_key_env"
        raise BadInput(f"{where}.base_url: {url}: {hint} ({listed.status_code})")
    if lacks:
        names = ", ".join(known[:LISTED]) + (f" and {len(known) - LISTED} more" if len(known) > LISTED else "")
        raise BadInput(f"{where}.path: {url} has no model {model.path!r}; it has: {names}")
    return None


def api_key(model: ModelSpec) -> str:
    """Returns the key, or "" where the sweep names no variable; raises EngineError where the variable holds no key."""
    if model.api_key_env is None:
        return ""
    key = os.environ.get(model.api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise EngineError(f"model {model.name}: the environment variable that api_key_env names holds no key here")
    return key


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
