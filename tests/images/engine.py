"""A container engine for the tests: this machine's own, with what a machine without cgroups of version 2 needs.

There crun cannot see its cgroup, so that it runs in a mount namespace without ``/sys/fs/cgroup/unified``, takes no
limits but those of the process, and wants these said.
"""

import os
import resource
import shutil
import subprocess
from pathlib import Path

IMAGE = "TROOP_TEST_IMAGE"  # names the image under test; `make test-images` sets it
_BARE = """#!/bin/bash
if [ "$1" != run ]; then exec ENGINE "$@"; fi
shift
words=()
while [ $# -gt 0 ]; do
  case "$1" in --memory | --memory-swap | --pids-limit) shift 2 ;; *) words+=("$1"); shift ;; esac
done
exec unshare --mount --propagation private bash -c 'umount /sys/fs/cgroup/unified; exec "$@"' engine \\
  ENGINE run --cgroups=disabled --runtime crun \\
  --ulimit nofile=FILES:FILES --ulimit nproc=PROCESSES:PROCESSES "${words[@]}"
"""


def find_working(folder: Path) -> str | None:
    """Returns the name of an engine that runs the image, put into ``folder`` where it needs help; None without one."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path is None:
            continue
        if runs(path):
            return name
        helped = folder / name
        files, processes = (
            min(resource.getrlimit(kind)[1] % (1 << 63), 20_000)
            for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
        )
        words = {"ENGINE": path, "FILES": str(files), "PROCESSES": str(processes)}
        script = _BARE
        for mark, word in words.items():
            script = script.replace(mark, word)
        helped.write_text(script)
        helped.chmod(0o755)
        if runs(str(helped)):
            return name
    return None


def runs(engine: str) -> bool:
    """Tells whether this engine runs a container of the image under test."""
    words = [engine, "run", "--rm", "--network", "none", os.environ[IMAGE], "true"]
    return subprocess.run(words, capture_output=True, check=False, timeout=120).returncode == 0
