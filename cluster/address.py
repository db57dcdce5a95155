"""Asks a Ray cluster's address whether it answers, and takes our token, before anything is written or started.

Ray itself tries for minutes, with many lines, and says of a wrong token only that it could not connect.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from sampling.errors import BadInput

PATIENCE_S = 10.0
_CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"  # ray/protobuf/gcs_service.proto; its request is empty


def check_address(address: str | None) -> None:
    """Raises BadInput where no cluster answers at ``address`` (default: ``RAY_ADDRESS``), or it refuses our token.

    What Ray finds or starts by itself (None, ``auto``, ``local``) is not asked.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    if address in (None, "", "auto", "local"):
        return
    target = _host_and_port(str(address))
    if os.environ.get("RAY_USE_TLS", "0") not in ("1", "true"):  # then Ray has the certificates, not we
        _ask(str(address), target)


def _host_and_port(address: str) -> str:
    try:
        url = urlsplit(address if "://" in address else f"//{address}")
        if url.scheme in ("", "ray") and url.hostname and url.port:
            return url.netloc
    except ValueError:  # a port that is none
        pass
    hint = "; a dashboard's address is for `troop submit`" if address.startswith("http") else ""
    raise BadInput(
        f"--address {address!r}: allowed: host:port, as `ray start` prints it, ray://host:port or auto{hint}"
    )


def _ask(address: str, target: str) -> None:
    """One call, not repeated. An answer of another kind is left to Ray: its client's port knows no such call."""
    import grpc

    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_CHECK_ALIVE)(b"", timeout=PATIENCE_S, metadata=_credentials())
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise BadInput(
                    f"ray: {address!r} refuses this machine's token; copy the cluster's ~/.ray/auth_token"
                ) from error
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise BadInput(f"ray: no cluster answers at {address!r}; `ray start --head` starts one") from error


def _credentials() -> tuple[tuple[str, str], ...]:
    """The token where Ray looks for it, in its order (Ray's documentation, "Token authentication")."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not token and path.is_file():
        token = path.read_text().strip()
    return (("authorization", f"Bearer {token}"),) if token and _asked_for() else ()


def _asked_for() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "token") == "token"
