"""The check that a Ray cluster answers and accepts our token, before anything is written or started.

Ray itself tries for minutes and prints many lines. About a wrong token it says only that it could not connect.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from sampling.errors import BadInput

PATIENCE_S = 10.0
_CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"  # ray/protobuf/gcs_service.proto; the request is empty


def check_address(address: str | None) -> None:
    """Raises BadInput when no cluster answers at ``address`` (default: ``RAY_ADDRESS``), or when it refuses our token.

    A cluster that Ray finds or starts by itself (None, ``auto``, ``local``) is not checked.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    if address in (None, "", "auto", "local"):
        return
    target = _host_and_port(str(address))
    if os.environ.get("RAY_USE_TLS", "0") not in ("1", "true"):  # with TLS only Ray has the certificates
        _ask(str(address), target)


def _host_and_port(address: str) -> str:
    try:
        url = urlsplit(address if "://" in address else f"//{address}")
        if url.scheme in ("", "ray") and url.hostname and url.port:
            return url.netloc
    except ValueError:  # not a port number
        pass
    hint = "; a dashboard's address is for `troop submit`" if address.startswith("http") else ""
    raise BadInput(
        f"--address {address!r}: allowed: host:port, as `ray start` prints it, ray://host:port or auto{hint}"
    )


def _ask(address: str, target: str) -> None:
    """Calls the cluster once. Errors of other kinds are left to Ray: the port of its client knows no such call."""
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
    """Returns the token from where Ray looks for it, in its order (Ray's documentation, "Token authentication")."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not token and path.is_file():
        token = path.read_text().strip()
    return (("authorization", f"Bearer {token}"),) if token and _wants_token() else ()


def _wants_token() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "token") == "token"
