"""A machine with Lean, for tests: its REPL is a process that speaks the protocol (``lean_repl_double.py``)."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

DOUBLE = Path(__file__).with_name("lean_repl_double.py")
REAL = "TROOP_LEAN_REPL" in os.environ


def double_environment(folder: Path) -> Mapping[str, str]:
    """The variables of a machine whose REPL is the double, of Lean 4.9.0 and a mathlib; made in ``folder``."""
    from verify.sandbox.launch import base_interpreter

    lean = folder / "toolchain" / "bin" / "lean"
    lean.parent.mkdir(parents=True)
    lean.write_text('#!/bin/sh\necho "Lean (version 4.9.0, x86_64-unknown-linux-gnu, commit 8f9843a4a5fe, Release)"\n')
    lean.chmod(0o755)
    library = folder / "project" / ".lake" / "packages" / "mathlib" / ".lake" / "build" / "lib"
    library.mkdir(parents=True)
    (folder / "project" / "lake-manifest.json").write_text(
        '{"version": "1.1.0", "packages": [{"name": "batteries", "rev": "11111111111111"}, '
        '{"name": "mathlib", "inputRev": "v4.9.0", "rev": "f0957a7575317490107578ebaee9efaf8e62a4ab"}]}'
    )
    return {
        "TROOP_LEAN_REPL": f"{base_interpreter()} -I {DOUBLE}",
        "LEAN_SYSROOT": str(folder / "toolchain"),
        "LEAN_PATH": f"{library}:{sys.base_prefix}/lib",  # the double's Python stands for a library
    }
