"""NVIDIA driver and GPUs of this machine, as its driver's own library reports them: for a machine and for a node."""

from collections import Counter

from jobs.doctor.finding import Finding
from sampling.engines.devices import too_old
from sampling.engines.gpu_memory import gib
from sampling.engines.hardware import all_gpus, driver_version


def driver() -> Finding:
    """Looks at the driver, which the GPU wheels need."""
    version = driver_version()
    if version is None:
        cure = "install nvidia-driver-580; in a container: the NVIDIA Container Toolkit, NVIDIA_VISIBLE_DEVICES=all"
        return Finding(what="driver", usable=False, seen=f"none answers; {cure}")
    trouble = too_old(version)
    return Finding(what="driver", usable=not trouble, seen=trouble or version)


def gpus(in_ray: float = 0.0) -> Finding:
    """Counts the GPUs by name and memory; ``in_ray`` is how many Ray has here, which must be there."""
    found = all_gpus().values()
    counted = Counter(f"{gpu.name} {gib(gpu.total_bytes)}" for gpu in found)
    seen = ", ".join(f"{count} × {name}" for name, count in counted.items()) or "none answers to the driver"
    few = f"; Ray has {in_ray:g}: join with the true `ray start --num-gpus`" if len(found) < in_ray else ""
    return Finding(what="GPUs", usable=bool(found) and not few, seen=seen + few)
