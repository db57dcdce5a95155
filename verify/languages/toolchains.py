"""Finds this machine's compilers and runtimes. C, C++, Go and Rust give static programs, which run without any file.

A toolchain is found on the path, as a person would: nothing is installed and nothing is configured. What it costs to
start a runtime counts as the program's own time and memory; what it reserves does not.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from verify.languages.node_boot import BOOT
from verify.sandbox.commands import SYSTEM
from verify.sandbox.programs import MEMORY, Runtime
from verify.sandbox.tiers import TierUnavailable

_ASK_S = 60.0  # for `go version` and the like, on a busy machine
_VARIABLES = (("PATH", "/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8"))
_LOADER = ("/etc/ld.so.cache",)


class ToolchainUnavailable(TierUnavailable):
    """Raised where this machine has no working compiler or runtime for a language; the message names it."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The compiler and runtime of one language.

    ``build`` is shell text that makes ``made`` from ``source`` in the current folder; "" where nothing is compiled.
    ``readable`` are files of the compiler beside the system's. ``words`` start the program, with ``variables``.
    """

    language: str
    version: str
    runtime: Runtime
    words: tuple[str, ...] = ("main",)
    variables: tuple[tuple[str, str], ...] = _VARIABLES
    build: str = ""
    source: str = ""
    made: str = ""
    readable: tuple[str, ...] = ()
    build_variables: tuple[tuple[str, str], ...] = _VARIABLES


_NATIVE = Runtime("native")
# A goroutine's stack and the heap's arenas are mapped in large parts, most of which are never touched.
_GO = Runtime("go", reserve_mb=2048, own_mb=64, resident_mb=32)
_GO_VARIABLES = (
    *_VARIABLES,
    *{"GOCACHE": "/tmp/cache", "GOPATH": "/tmp/gopath", "GOPROXY": "off", "GO111MODULE": "off"}.items(),
    *{"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GODEBUG": "installgoroot=all"}.items(),
)


def _gcc(language: str, command: str, standard: str, source: str) -> Toolchain:
    compiler = _program(language, command)
    options = f"-O2 -std={standard} -static -s -pipe -fmax-errors=3 -fno-diagnostics-show-caret"
    return Toolchain(
        language,
        f"{command} {_ask(language, compiler, '-dumpfullversion')}",
        _NATIVE,
        build=f"{compiler} {options} {source} -o main -lm",
        source=source,
        made="main",
        readable=_beside_system(_home(compiler)),
    )


def _go() -> Toolchain:
    compiler = _program("go", "go")
    version = _ask("go", compiler, "version").split()[2].removeprefix("go")
    root = Path(_ask("go", compiler, "env", "GOROOT"))
    return Toolchain(
        "go",
        f"go {version}",
        _GO,
        variables=(*_VARIABLES, ("GOMAXPROCS", "1"), ("GOTRACEBACK", "none"), ("GOMEMLIMIT", f"{MEMORY}MiB")),
        build=f"{compiler} build -ldflags '-s -w' -o main main.go",
        source="main.go",
        made="main",
        readable=_beside_system(root, *_targets(root)),
        build_variables=_GO_VARIABLES,
    )


def _rust() -> Toolchain:
    root = Path(_ask("rust", _program("rust", "rustc"), "--print", "sysroot"))
    compiler = root / "bin" / "rustc"
    _program("rust", "cc")  # it links
    options = (
        "-O --edition 2021 -C target-feature=+crt-static -C strip=symbols --error-format=short -C link-arg=-fuse-ld=bfd"
    )
    return Toolchain(
        "rust",
        " ".join(_ask("rust", compiler, "--version").split()[:2]).replace("rustc", "rust"),
        _NATIVE,
        build=f"{compiler} {options} main.rs -o main",
        source="main.rs",
        made="main",
        readable=_beside_system(root),
        build_variables=(*_VARIABLES, _libraries_at(root / "lib"), ("RUST_MIN_STACK", "16777216")),
    )


def _java() -> Toolchain:
    compiler = _program("java", "javac")
    home = _home(compiler)
    java = home / "bin" / "java"
    if not java.is_file():
        raise ToolchainUnavailable(f"language java: {java} is missing; install a whole JDK")
    links = _targets(home)
    flags = ["-Xss32m", "-XX:VMThreadStackSize=1024", "-XX:+UseSerialGC", "-XX:ActiveProcessorCount=1"]
    flags += ["-XX:CompressedClassSpaceSize=64m", "-XX:ReservedCodeCacheSize=64m", "-XX:ErrorFile=/dev/null"]
    flags += ["-XX:-UsePerfData", "-XX:-UseContainerSupport", "-XX:+DisplayVMOutputToStderr", "-Xlog:disable"]
    libraries = _libraries(java, *sorted((home / "lib").glob("**/*.so")))
    return Toolchain(
        "java",
        _ask("java", compiler, "-version").replace("javac", "java"),
        Runtime(
            "java", str(java), (str(home), *links, *libraries, *_LOADER), reserve_mb=4096, own_mb=448, resident_mb=192
        ),
        words=("java", f"-Xmx{MEMORY}m", *flags, "-cp", "{program}", "{main}"),
        build=f"mkdir out && {compiler} -J-Xmx768m -J-XX:+UseSerialGC -J-XX:TieredStopAtLevel=1 -encoding UTF-8"
        " -proc:none -nowarn -Xmaxerrs 3 -d out {source} && tar -cf made.tar -C out .",
        source="{file}.java",
        made="made.tar",
        readable=_beside_system(home, *links),
        build_variables=(*_VARIABLES, _libraries_at(home / "lib")),
    )


def _javascript() -> Toolchain:
    node = _program("javascript", "node")
    options = ["--stack-size=50000", "--v8-pool-size=0", f"--max-old-space-size={MEMORY}", "--no-warnings"]
    return Toolchain(
        "javascript",
        f"node {_ask('javascript', node, '--version').removeprefix('v')}",
        Runtime(
            "node", str(node), (str(node), *_libraries(node), *_LOADER), reserve_mb=8192, own_mb=192, resident_mb=128
        ),
        words=("node", *options, "-e", BOOT),
        variables=(*_VARIABLES, ("UV_THREADPOOL_SIZE", "1"), ("OPENSSL_CONF", "/dev/null")),
    )


FINDERS: Mapping[str, Callable[[], Toolchain]] = {
    "c": lambda: _gcc("c", "gcc", "gnu17", "main.c"),
    "cpp": lambda: _gcc("cpp", "g++", "gnu++20", "main.cpp"),
    "java": _java,
    "go": _go,
    "rust": _rust,
    "javascript": _javascript,
}


@cache
def find_toolchain(language: str) -> Toolchain:
    """Returns the toolchain of a language, as it is installed here; raises ToolchainUnavailable."""
    return FINDERS[language]()


def _program(language: str, name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise ToolchainUnavailable(f"language {language}: no {name} is installed here")
    return Path(found).absolute() if name in ("rustc", "cc") else Path(found).resolve()


def _ask(language: str, *words: object) -> str:
    try:
        environment = {**os.environ, "GOTOOLCHAIN": "local"}
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, check=True, timeout=_ASK_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainUnavailable(f"language {language}: {words[0]} does not work: {error}") from error
    return (done.stdout or done.stderr).strip()


def _libraries_at(folder: Path) -> tuple[str, str]:
    """Returns the variable that leads to a program's own libraries: without /proc it does not know where it lies."""
    return ("LD_LIBRARY_PATH", str(folder))


def _home(program: Path) -> Path:
    return program.parent.parent


def _beside_system(*paths: Path | str) -> tuple[str, ...]:
    """Returns the paths that a jail does not have anyway."""
    return tuple(str(path) for path in paths if not any(Path(path).is_relative_to(folder) for folder in SYSTEM))


def _targets(home: Path) -> list[str]:
    """Returns the files outside of a folder to which links in it lead: Debian keeps configuration in /etc."""
    links = (path for path in home.rglob("*") if path.is_symlink())
    return sorted({str(target) for link in links for target in [link.resolve()] if not target.is_relative_to(home)})


def _libraries(*programs: Path) -> list[str]:
    """Returns the shared libraries of programs, under every name by which the loader reaches them."""
    words = ["ldd", *map(str, programs)]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_ASK_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainUnavailable(f"ldd does not work: {error}") from error
    return sorted(set(_with_links(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE))))


def _with_links(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        while True:
            yield path
            if not Path(path).is_symlink():
                break
            path = os.path.normpath(Path(path).parent / Path(path).readlink())
