"""Programs in other languages: how they are found, compiled and run, and what is said where a compiler is missing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sampling.problems import Problem
from tests.conftest import Troop, WriteSweep
from tests.support.cost import cpu_below
from verify.languages import compiler, toolchains
from verify.languages.java_names import java_names
from verify.languages.samples import SAMPLES
from verify.languages.toolchains import FINDERS, ToolchainUnavailable, find_toolchain
from verify.needs import check_languages
from verify.programs.foreign import LOOKS, find_program
from verify.sandbox.programs import Program
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable
from verify.stdio import StdioVerifier
from verify.trials import plan_audit
from verify.verdict import Status, Verdict
from verify.verifiers import Verifiers, candidate_text

LANGUAGES = tuple(SAMPLES)


def need(language: str) -> None:
    try:
        find_toolchain(language)
    except ToolchainUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=SAFE_TIERS)
def verifier(request: pytest.FixtureRequest) -> Iterator[StdioVerifier]:
    try:
        made = StdioVerifier(Sandbox(request.param))
    except TierUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


def problem(language: str, *cases: tuple[str, str], **more: Any) -> Problem:
    data = {"cases": [{"stdin": stdin, "stdout": stdout} for stdin, stdout in cases], "language": language, **more}
    return Problem.model_validate({"id": "p", "prompt": "x", "verifier": "stdio", "reference": data})


SUMS = (("40 2\n", "42\n"), ("-1 -2\n", "-3\n"))


def verify(verifier: StdioVerifier, language: str, source: str, *cases: tuple[str, str], **more: Any) -> Verdict:
    need(language)
    return verifier.verify(problem(language, *(cases or SUMS), **more), f"```{language}\n{source}\n```")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_right_program_passes_and_is_measured(verifier: StdioVerifier, language: str) -> None:
    verdict = verify(verifier, language, SAMPLES[language].total)
    assert (verdict.status, verdict.reason, verdict.tier) == (Status.PASS, "", verifier.sandbox.tier)
    assert verdict.wall_s > 0 and verdict.cpu_s > 0 and verdict.max_rss_mb > 1
    assert verdict.toolchain == find_toolchain(language).version
    wrong = verify(verifier, language, SAMPLES[language].total, *SUMS, ("1 1\n", "3\n"))
    assert (wrong.status, wrong.reason) == (Status.FAIL, "case 3 of 3: wrong output")


@pytest.mark.parametrize("language", LANGUAGES)
def test_limits_hold(verifier: StdioVerifier, language: str) -> None:
    known, limits = SAMPLES[language], {"time_limit_s": 1.0, "memory_mb": 128}
    assert verify(verifier, language, known.empty, ("", ""), **limits).status is Status.PASS
    assert verify(verifier, language, known.endless, **limits).status is Status.TIMEOUT
    assert verify(verifier, language, known.memory, **{**limits, "time_limit_s": 10.0}).status is Status.MEMORY
    assert verify(verifier, language, known.output, **{**limits, "time_limit_s": 10.0}).status is Status.OUTPUT


BROKEN = {
    "c": ("int main(void) { return undeclared; }", "main.c:1:25: error: 'undeclared' undeclared"),
    "cpp": ("#include <iostream>\nint main() { std::cout << x; }", "main.cpp:2:27: error: 'x' was not declared"),
    "java": ('public class Main { int x = ""; }', "Main.java:1: error: incompatible types"),
    "go": ("package main\nfunc main() { x := 1 }", "./main.go:2:15: x declared but not used"),
    "rust": ('fn main() { let x: i32 = ""; }', "main.rs:1:26: error[E0308]: mismatched types"),
}


@pytest.mark.parametrize("language", BROKEN)
def test_a_compile_error_is_a_crash_with_its_first_lines(verifier: StdioVerifier, language: str) -> None:
    source, words = BROKEN[language]
    verdict = verify(verifier, language, source)
    assert verdict.status is Status.CRASH
    assert verdict.reason.startswith("does not compile: ")
    assert words in verdict.reason.replace("‘", "'").replace("’", "'") or (
        language == "go" and "declared" in verdict.reason
    )
    assert len(verdict.reason) < 500 and "\n" not in verdict.reason


def test_javascript_that_does_not_parse_says_so(verifier: StdioVerifier) -> None:
    verdict = verify(verifier, "javascript", "let let = (;")
    assert (verdict.status, "SyntaxError" in verdict.reason) == (Status.CRASH, True)


@pytest.mark.parametrize(
    "source",
    [
        "const lines = require('fs').readFileSync('/dev/stdin', 'utf8').split(' ');\nconsole.log(+lines[0] + +lines[1]);",  # noqa: E501
        "import fs from 'fs';\nconst [a, b] = fs.readFileSync('/dev/stdin', 'utf8').split(' ');\nconsole.log(+a + +b);",
        "import { readFileSync } from 'node:fs';\nconst [a, b] = readFileSync('/dev/stdin', 'utf8').split(' ');\n"
        "console.log(+a + +b);",
        "const rl = require('readline').createInterface({ input: process.stdin });\n"
        "rl.on('line', line => { const [a, b] = line.split(' ').map(Number); console.log(a + b); });",
        "let text = '';\nprocess.stdin.on('data', part => text += part);\n"
        "process.stdin.on('end', () => console.log(text.split(' ').map(Number).reduce((a, b) => a + b)));",
        "import * as readline from 'readline';\nconst rl = readline.createInterface({ input: process.stdin });\n"
        "for await (const line of rl) { const [a, b] = line.split(' ').map(Number); console.log(a + b); }",
        "require('fs').readFile('/dev/stdin', 'utf8', (e, text) => console.log(eval(text.trim().replace(' ', '+'))));",
        "require('fs').createReadStream('/dev/stdin').on('data', d => console.log(eval(`${d}`.trim().replace(' ', '+'))));",  # noqa: E501
        "#!/usr/bin/env node\nif (require.main === module) { const [a, b] = require('fs').readFileSync(0, 'utf8')"
        ".split(' ').map(Number); process.stdout.write(`${a + b}\\n`); }",
    ],
)
def test_javascript_reads_its_input_in_every_usual_way(verifier: StdioVerifier, source: str) -> None:
    """Kind: programs that Node runs from a file, whichever module system and whichever way to read they use."""
    verdict = verify(verifier, "javascript", source, ("40 2\n", "42\n"))
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


def test_honest_programs_run(verifier: StdioVerifier) -> None:
    """Kind: what a runtime needs beyond reading and printing: threads, deep recursion, large input, much output."""
    text = " ".join(map(str, range(200_000))) + "\n"
    threads = "#include <bits/stdc++.h>\nint main() { std::atomic<int> n{0}; std::vector<std::thread> all;\n"
    threads += "for (int i = 0; i < 4; i++) all.emplace_back([&] { n += 10; }); for (auto &t : all) t.join();\n"
    threads += "std::cout << n + 2 << std::endl; }"
    deep = "#include <stdio.h>\nint f(int n) { return n ? 1 + f(n - 1) : 0; }\n"
    deep += 'int main(void) { volatile int n = 500000; printf("%d", f(n)); }'
    for language, source, case in (
        ("cpp", threads, ("", "42\n")),
        ("c", deep, ("", "500000")),
        ("c", "#include <stdio.h>\nint main(void) { int c; while ((c = getchar()) != EOF) putchar(c); }", (text, text)),
        ("java", "import java.util.stream.*;\nclass Any { public static void main(String... a) { System.out.println("
         "IntStream.range(0, 100).parallel().sum()); } }", ("", "4950")),
        ("java", "public class Main { static int f(int n) { return n == 0 ? 0 : 1 + f(n - 1); }\n"
         "public static void main(String[] a) { System.out.println(f(50000)); } }", ("", "50000")),
        ("go", 'package main\nimport ("fmt"; "sync")\nfunc main() { var w sync.WaitGroup; c := make(chan int, 8)\n'
         "for i := 0; i < 8; i++ { w.Add(1); go func() { defer w.Done(); c <- 1 }() }\nw.Wait(); fmt.Println(len(c)) }",
         ("", "8")),
        ("rust", "use std::thread;\nfn main() { let h: Vec<_> = (0..4).map(|i| thread::spawn(move || i)).collect();\n"
         'println!("{}", h.into_iter().map(|h| h.join().unwrap()).sum::<i32>()); }', ("", "6")),
        ("javascript", "function f(n) { return n ? 1 + f(n - 1) : 0; }\nconsole.log(f(100000));", ("", "100000")),
        ("javascript", "process.stdin.pipe(process.stdout);", (text, text)),
    ):  # fmt: skip
        if language in ready():
            verdict = verify(verifier, language, source, case)
            assert (verdict.status, verdict.reason) == (Status.PASS, ""), source


def ready() -> set[str]:
    found = set()
    for language in LANGUAGES:
        try:
            found.add(find_toolchain(language).language)
        except ToolchainUnavailable:
            continue
    return found


def test_samples_leave_nothing_for_the_next(verifier: StdioVerifier) -> None:
    if verifier.sandbox.tier == "isolated":
        source = '#include <stdio.h>\nint main(void) { FILE *f = fopen("/tmp/left", "r"); puts(f ? "found" : "none");\n'
        source += 'f = fopen("/tmp/left", "w"); if (f) fputs("x", f); return 0; }'
        for _ in range(3):
            assert verify(verifier, "c", source, ("", "none\n"), checker="lines").status is Status.PASS


def test_a_source_is_compiled_once(verifier: StdioVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    need("c")
    built: list[str] = []
    real = compiler.build
    monkeypatch.setattr(compiler, "build", lambda toolchain, source: built.append(source) or real(toolchain, source))
    for source in ("int main(void) { return 0; }", "int main(void) { return 1 }") * 3:
        verify(verifier, "c", f"/* once */ {source}", ("", ""))
    assert len(built) == 2


def test_few_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    need("c")
    kept, toolchain = compiler.Compiler(), find_toolchain("c")
    monkeypatch.setattr(compiler, "build", lambda t, source: Program(t.runtime, bytes(1000), ("main",)))
    monkeypatch.setattr(compiler, "KEPT_BYTES", 5000)
    for number in range(20):
        kept.compile(toolchain, str(number))
    assert len(kept._kept) == 5 and kept._bytes == 5000


def test_a_bomb_ends_at_the_compiler_s_limit(verifier: StdioVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    need("cpp")
    monkeypatch.setattr(compiler, "COMPILE", replace(compiler.COMPILE, cpu_s=2.0, wall_s=20.0))
    with cpu_below(20):
        verdict = verify(verifier, "cpp", f"int x = {'(' * 200_000}1{')' * 200_000};\nint main() {{}}")
        assert verdict.status in (Status.TIMEOUT, Status.CRASH)


# ---------------------------------------------------------------- where a compiler is missing


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    find_toolchain.cache_clear()
    yield
    find_toolchain.cache_clear()


@pytest.mark.parametrize(
    ("language", "command"),
    [("c", "gcc"), ("cpp", "g++"), ("java", "javac"), ("go", "go"), ("rust", "rustc"), ("javascript", "node")],
)
def test_a_missing_compiler_is_named(empty_path: None, language: str, command: str) -> None:
    asked = problem(language, ("", "x"))
    with pytest.raises(ToolchainUnavailable, match=re.escape(f"language {language}: no {command} is installed here")):
        find_toolchain(language)
    with Verifiers() as verifiers:
        verdict = verifiers.verify(asked, SAMPLES[language].total)
        with pytest.raises(ToolchainUnavailable, match=re.escape(f"no {command} is installed")):
            verifiers.prepare(["stdio"], languages=[language])
    assert (verdict.status, verdict.reason) == (Status.FAULT, f"language {language}: no {command} is installed here")


def test_a_compiler_that_does_not_work_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need("c")
    broken = toolchains.Toolchain("c", "gcc 0", toolchains._NATIVE, build="echo no such thing; exit 3", source="main.c")
    monkeypatch.setattr("verify.languages.runner.find_toolchain", lambda language: broken)
    with Verifiers() as verifiers, pytest.raises(ToolchainUnavailable) as error:
        verifiers.prepare(["stdio"], languages=["c"])
    assert str(error.value) == "language c: gcc 0 does not work here: does not compile: no such thing"


@pytest.mark.parametrize("command", ["run", "audit"])
def test_a_missing_compiler_ends_the_command(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(toolchains.FINDERS, "go", lambda: toolchains._program("go", "no-such-compiler"))
    find_toolchain.cache_clear()
    line = json.loads(problem("go", ("", "x")).model_dump_json(exclude_none=True)) | {"solution": "package main"}
    done = troop(command, write_sweep([line], verify={"audit": 8}))
    find_toolchain.cache_clear()
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "task sums: language go: no no-such-compiler is installed here" in done.err
    assert not Path("runs").exists()


def test_an_unknown_language_is_refused(troop: Troop, write_sweep: WriteSweep) -> None:
    line = json.loads(problem("go", ("", "x")).model_dump_json(exclude_none=True))
    line["reference"]["language"] = "cobol"
    done = troop("plan", write_sweep([line]))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "language: Input should be 'python', 'c', 'cpp'" in done.err


def test_the_doctor_lists_every_language(troop: Troop) -> None:
    done = troop("doctor")
    for language in FINDERS:
        assert f"language {language}" in done.out
    assert done.code == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_audit_knows_programs_of_the_language(language: str) -> None:
    need(language)
    gold = f"```{language}\n{SAMPLES[language].total}```"
    asked = problem(language, *SUMS).model_copy(update={"solution": gold})
    audit = plan_audit({"t": [asked]}, None)
    with Verifiers(remembered=0) as verifiers:
        for trial in audit.trials:
            verdict = verifiers.verify(audit.problems[trial.key], trial.known.text)
            assert verdict.status in trial.known.expected, (trial.known.check, verdict)
    assert {trial.known.check for trial in audit.trials} >= {"limit: timeout", "limit: memory", "limit: output"}


# ---------------------------------------------------------------- how a program is found

CPP = "#include <iostream>\nint main() { std::cout << 1; }\n"


@pytest.mark.parametrize(
    ("language", "text", "program"),
    [
        ("cpp", f"Here:\n```cpp\n{CPP}```\nIt prints 1.", CPP),
        ("cpp", f"```c++\n{CPP}```", CPP),
        ("cpp", f"```C\n{CPP}```", CPP),
        ("cpp", f"```cpp\n{CPP}```\nUsage:\n```cpp\nint x;\n```", CPP),
        ("cpp", f"```cpp\nint old;\n```\nBetter:\n```cpp\n{CPP}```", CPP),
        ("cpp", f"```\n{CPP}```\nOutput:\n```\n1\n```", CPP),
        ("cpp", f"```text\n1 2\n```\n```cpp\n{CPP}```\n```bash\ng++ main.cpp\n```", CPP),
        ("cpp", f"{CPP}```\nThat was it.\n```\n1\n```", CPP),
        ("cpp", f"<think>```cpp\nint main() {{}}\n```</think>```cpp\n{CPP}```", CPP),
        ("cpp", f"We read the input.\n{CPP}Hope this helps", CPP),
        ("cpp", f"```cpp\n{CPP}", CPP),
        ("rust", "```rs\nfn main() {}\n```", "fn main() {}\n"),
        ("go", "package main\nfunc main() {}\n", "package main\nfunc main() {}\n"),
        ("java", "```java\nclass A { public static void main(String[] a) {} }\n```\n```java\nclass Example {}\n```",
         "class A { public static void main(String[] a) {} }\n"),
        ("javascript", "```js\nconsole.log(1);\n```", "console.log(1);\n"),
        ("javascript", "Answer:\nconst x = 1;\nconsole.log(x);\nDone", "const x = 1;\nconsole.log(x);\n"),
        ("c", "I do not know.", None),
        ("c", "", None),
        ("c", "```c\nint main(void) { char c = '\0'; }\n```", None),
    ],
)  # fmt: skip
def test_where_the_program_is(language: str, text: str, program: str | None) -> None:
    assert find_program(text, language) == program
    assert candidate_text(problem(language, ("", "")), text) == program


@pytest.mark.parametrize("language", LANGUAGES)
def test_finding_is_linear(language: str) -> None:
    with cpu_below(20):
        for part in (
            "main (",
            "void main",
            " \t",
            "`",
            "```\n",
            "```\nx\n",
            "```\n'''\n",
            "#include\n",
            "public final abstract ",
            "{(" * 3,
            "/*",
            "'",
        ):
            find_program(part * (200_000 // len(part)), language)
            find_program(f"```{language}\n{part * (200_000 // len(part))}", language)
    assert set(LOOKS) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("public class Main { public static void main(String[] a) {} }", ("Main", "Main")),
        ("class Helper {} public class Solution { public static void main(String[] a) {} }", ("Solution", "Solution")),
        ("class A { static void f() {} } class B { static public final void main(String[] a) {} }", ("Main", "B")),
        ("package a.b; public final class C { static class D { static void main(String[] a) {} } }", ("C", "a.b.C")),
        ('/* class X { static void main() */ // class Y\nclass Z { String s = "class W {"; }', ("Main", "Z")),
        ("final abstract public strictfp class A {} public class B {}", ("A", "A")),
        ("public static void main(String[] a) {} final class A {}", ("Main", "A")),
        ("publication class A {} final nothing public B", ("Main", "A")),
        ("public record R(int x) { public static void main(String[] a) {} }", ("R", "R")),
        ("import java.util.*; enum E { A } interface I {}", ("Main", "E")),
        ("", ("Main", "Main")),
    ],
)
def test_names_of_java(source: str, names: tuple[str, str]) -> None:
    assert java_names(source) == names


def test_names_of_java_are_found_in_linear_time() -> None:
    with cpu_below(20):
        for part in (
            "/*",
            "*/",
            '"',
            '"""',
            "'",
            "class ",
            "public ",
            "final ",
            "abstract public ",
            "static final ",
            "static ",
            "static void main",
            "\\",
            "package a",
            "{",
        ):
            java_names(part * (1_000_000 // len(part)))


def test_languages_of_all_tasks_are_tried_in_one_sandbox_and_the_first_that_lacks_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Verifiers] = []

    class Counted(Verifiers):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr("verify.needs.Verifiers", Counted)
    monkeypatch.setitem(FINDERS, "go", _not_here)
    find_toolchain.cache_clear()
    asked = {f"task {name}: ": [problem(name, *SUMS)] for name in ("javascript", "c", "go")}
    asked["task more: "] = asked["task go: "]
    with pytest.raises(ToolchainUnavailable) as error:
        check_languages(asked, None)
    assert len(made) == 1
    lacking = str(error.value)
    assert lacking.startswith(("task go: language go: not here", "task javascript: ", "task c: ")), lacking
    check_languages({"task sums: ": []}, None)
    assert len(made) == 1  # nothing is asked for, so nothing is opened


def _not_here() -> Any:
    raise ToolchainUnavailable("language go: not here")
