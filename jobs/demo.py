"""The demo: two small models that are really trained, on held-out problems, with real engines and verdicts."""

from collections.abc import Sequence
from pathlib import Path

from jobs.sweep import Sweep, load_sweep
from sampling.errors import BadInput

SWEEP = Path(__file__).parent.parent / "examples" / "demo" / "sweep.yaml"


def demo_sweep(assignments: Sequence[str]) -> Sweep:
    """The demo's sweep; its run lies in runs/demo of the current folder. Raises BadInput outside a checkout."""
    if not SWEEP.is_file():
        raise BadInput(f"demo: {SWEEP} is missing; the demo runs from a checkout of the repository")
    return load_sweep(SWEEP, assignments)
