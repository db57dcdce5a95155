"""Check of a service before a run: it answers, takes the key and has the model. It finds mistakes in a second."""

from sampling.engines.openai_api import read_models
from sampling.errors import BadInput, EngineError
from sampling.settings import ModelSpec

CHECK_S = 20.0
LISTED = 5


def check_service(model: ModelSpec, where: str) -> None:
    """Raises BadInput where the service cannot be used; a service without a list of models passes."""
    import httpx

    from sampling.engines.openai_engine import api_key, bearer

    try:
        key = api_key(model)
        with httpx.Client(base_url=model.base_url or "", headers=bearer(key), timeout=CHECK_S) as client:
            listed = client.get("models")
            known = [served.id for served in read_models(listed.content)] if listed.status_code == 200 else []
            lacks = bool(known) and model.path not in known and client.get(f"models/{model.path}").status_code == 404
    except EngineError as error:
        raise BadInput(f"{where}.api_key_env: set that variable to the key; it is empty, or no key") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        what = type(error).__name__
        raise BadInput(f"{where}.base_url: {model.base_url} cannot be reached ({what}); allowed: a server") from error
    if listed.status_code in (401, 403):
        hint = "its key is refused" if key else "it wants a key: name its variable in api_key_env"
        raise BadInput(f"{where}.base_url: {model.base_url}: {hint} ({listed.status_code})")
    if lacks:
        names = ", ".join(known[:LISTED]) + (f" and {len(known) - LISTED} more" if len(known) > LISTED else "")
        raise BadInput(f"{where}.path: {model.base_url} has no model {model.path!r}; it has: {names}")
