"""The check that a Ray cluster answers and accepts our token, before anything is written or started.

Ray itself tries for minutes and prints many lines. About a wrong token it says only that it could not connect.
"""

import os
import secrets
import sys
from contextlib import suppress
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
        if url.scheme == "" and url.hostname and url.port:
            return url.netloc
    except ValueError:  # not a port number
        pass
    hints = {
        "http": "; a dashboard's address is for `troop submit`",
        "ray": f"; Ray Client cannot drive a run: use `troop submit SWEEP --address http://{_host_of(address)}:8265`",
    }
    hint = next((hint for scheme, hint in hints.items() if address.startswith(scheme)), "")
    raise BadInput(f"--address {address!r}: allowed: host:port, as `ray start` prints it, or auto{hint}")


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or "HEAD"
    except ValueError:
        return "HEAD"


def _ask(address: str, target: str) -> None:
    """Calls the cluster once. Errors of other kinds are left to Ray: the port of its client knows no such call."""
    import grpc

    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_CHECK_ALIVE)(b"", timeout=PATIENCE_S, metadata=_credentials())
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise BadInput(f"ray: {address!r} {token_advice()}") from error
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise BadInput(f"ray: no cluster answers at {address!r}; `ray start --head` starts one") from error


def use_token() -> None:
    """Turns Ray's token authentication on where this machine has a token.

    Ray reads the mode once, when it is imported: later a change would hold for its servers, but not for this process.
    """
    if "ray" not in sys.modules and _token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def make_token() -> None:
    """Makes the token for a Ray of our own, which this user alone can read; Ray's own file could be read by all.

    A token that is there stays, and is closed to others. Where the home cannot be written, Ray says so itself.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH") or not _wants_token():
        return
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            written = path.with_name(f"auth_token.{secrets.token_hex(8)}")
            descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, secrets.token_hex(32).encode())
                os.link(written, path)  # whole, or another process's
            finally:
                os.close(descriptor)
                written.unlink()
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def token_advice() -> str:
    """Says why a cluster refuses this machine, with the command to type."""
    copy = "scp HEAD:.ray/auth_token ~/.ray/"
    if not _token():
        return f"wants a token, and this machine has none; copy the one of its head: `{copy}`"
    if not _wants_token():
        return "wants a token, but RAY_AUTH_MODE is not token; `export RAY_AUTH_MODE=token`"
    return f"refuses this machine's token; copy the one of its head: `{copy}`"


def _credentials() -> tuple[tuple[str, str], ...]:
    token = _token()
    return (("authorization", f"Bearer {token}"),) if token and _wants_token() else ()


def _token() -> str | None:
    """Returns the token from where Ray looks for it, in its order (Ray's documentation, "Token authentication")."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return path.read_text().strip() or None if path.is_file() else None


def _wants_token() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "token") == "token"
