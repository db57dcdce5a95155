"""Channels between candidates: for each, one candidate plants and a later one looks, and must find nothing.

A planter acts in one of two ways; a finder that ran after it says what it sees. It must see the same after both.
"""

import os
import re
import tempfile
from pathlib import Path

import pytest

from sampling.problems import Problem
from sampling.references import StdioCase, StdioReference
from verify.sandbox import scratches
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox
from verify.stdio import StdioVerifier
from verify.verdict import Status

QUOTA = Quota.from_cpu(5.0, memory_mb=256, output_bytes=1 << 20)
SHORT = Quota.from_cpu(0.1, memory_mb=256)


def told(sandbox: Sandbox, source: str, quota: Quota = QUOTA) -> str:
    return sandbox.run_stdio(Code(source), "", quota).output


def needs_namespaces(sandbox: Sandbox) -> None:
    if sandbox.tier != "isolated":
        pytest.skip("confined has no scratch, and the machine's pids")


# What an end leaves behind: its status, its times, its memory, an order to end it.
ENDS = [
    "pass",
    "import os\nos._exit(77)",
    "import time\nwhile time.process_time() < 0.07: pass",
    "x = bytearray(b'x') * (40 << 20)",
    "while True: pass",
    "import time\ntime.sleep(9)",
    "import os\nos.kill(os.getpid(), 11)",
    "import threading\nfor _ in range(50): threading.Thread(target=int).start()",
]
FRAMES = """
import gc, sys
seen, frame = [], sys._getframe()
while frame:
    kept = dict(frame.f_locals)
    fields = [vars(kept['self'])] if hasattr(kept.get('self'), '__dict__') else []
    for names in (kept, *fields):
        seen += [(n, v if isinstance(v, (int, float, str, tuple)) else bytes(v) if isinstance(v, bytearray) else '')
                 for n, v in names.items() if not n.startswith('__')]
    frame = frame.f_back
seen = [(n, v[8:] if n == 'request' else v) for n, v in seen if n not in ('seen', 'frame', 'kept', 'fields', 'names')]
print(sorted(map(repr, seen)))
print([type(o).__name__ for o in gc.get_objects() if 'usage' in type(o).__name__])
"""


@pytest.mark.parametrize("planter", ENDS[1:])
def test_the_fork_server_keeps_nothing_of_an_end(sandbox: Sandbox, planter: str) -> None:
    found = []
    for source in (ENDS[0], planter):
        told(sandbox, source, SHORT)
        found.append(re.sub(r"'child', \d+|source=.*", "", told(sandbox, FRAMES)))
    assert found[0]
    assert found[0] == found[1]


def test_every_candidate_has_the_same_pid(sandbox: Sandbox) -> None:
    needs_namespaces(sandbox)
    finder = "import os, threading\nprint(os.getpid())\n"
    finder += "threading.Thread(target=lambda: print(threading.get_native_id())).start()"
    found = set()
    for source in ENDS:
        told(sandbox, source, SHORT)
        found.add(told(sandbox, finder))
    assert len(found) == 1


WRITES = [
    "open('/tmp/x', 'w').write('x')",
    "import os\nfor i in range(99): open('/tmp/x', 'w'); os.unlink('/tmp/x')",
    "import os\nos.mkdir('/tmp/d'); os.symlink('a', '/tmp/d/b'); os.rename('/tmp/d', '/tmp/e')",
    "import os\nos.mkdir('/tmp/d'); os.rmdir('/tmp/d')",
    "import os\ntry: os.open('/tmp', os.O_TMPFILE | os.O_RDWR)\nexcept OSError: pass",
    "import os\nos.listdir('/tmp')",
    "import os\nos.chdir('/tmp')\nfor _ in range(99): os.mkdir('d' * 200); os.chdir('d' * 200)",
]
SCRATCH = """
import os
about = os.stat('/tmp')
print(about.st_mtime_ns, about.st_atime_ns, about.st_nlink, about.st_size, oct(about.st_mode), os.listdir('/tmp'))
room = os.statvfs('/tmp')
print(room.f_bfree, room.f_ffree, os.getcwd())
os.mkdir('/tmp/a')
print(os.stat('/tmp/a').st_ino, about.st_ino)
"""


@pytest.mark.parametrize("planter", WRITES)
def test_scratch_tells_nothing_of_an_earlier_sample(sandbox: Sandbox, planter: str) -> None:
    needs_namespaces(sandbox)
    before = told(sandbox, SCRATCH)
    told(sandbox, planter)
    assert told(sandbox, SCRATCH) == before != ""


def test_all_scratches_are_of_one_age_and_in_no_order(sandbox: Sandbox) -> None:
    needs_namespaces(sandbox)
    finder = "import os\nabout = os.stat('/tmp')\nprint(about.st_ctime, about.st_dev)\nos.mkdir('/tmp/a')\n"
    with Sandbox(sandbox.tier) as fresh:
        found = [told(fresh, finder).split() for _ in range(scratches.PILED - 1)]
    times = [float(time) for time, _ in found]
    numbers = [int(number) for _, number in found]
    assert max(times) - min(times) < 1
    assert len(set(numbers)) == len(numbers)
    assert numbers not in (sorted(numbers), sorted(numbers, reverse=True))


def test_a_fork_server_whose_scratches_are_used_up_is_replaced(sandbox: Sandbox) -> None:
    needs_namespaces(sandbox)
    with Sandbox(sandbox.tier) as fresh:
        for _ in range(2 * scratches.PILED + 2):
            run = fresh.run_stdio(Code("import os\nos.mkdir('/tmp/a')\nprint(len(os.listdir('/tmp')))"), "", QUOTA)
            assert (run.status, run.output) == (None, "1\n")


READS = """
import os
where = os.path.dirname(os.__file__) + '/lib2to3/Grammar.txt'
where = where if os.path.exists(where) else os.__file__
"""


def test_no_time_tells_that_a_file_was_read(sandbox: Sandbox) -> None:
    if sandbox.tier != "isolated" or os.geteuid() != 0:
        pytest.skip("where root has not mounted the files, their access times are the machine's")
    finder = READS + "print(os.stat(where).st_atime_ns, os.stat(os.path.dirname(where)).st_atime_ns)"
    before = told(sandbox, finder)
    told(sandbox, READS + "open(where).read(); os.listdir(os.path.dirname(where))")
    assert told(sandbox, finder) == before


# A program of a thief: it never reads its input, and notes in a folder of the test's own how often it was run.
def runs_of(sandbox: Sandbox, source: str, wanted: list[str]) -> int:
    counted = 0
    real = sandbox.run_stdio

    def run_stdio(code: Code, stdin: str, quota: Quota):  # type: ignore[no-untyped-def]
        nonlocal counted
        counted += 1
        return real(code, stdin, quota)

    cases = tuple(StdioCase(stdin=str(at), stdout=answer) for at, answer in enumerate(wanted))
    problem = Problem(id="p", prompt="?", verifier="stdio", reference=StdioReference(cases=cases))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "run_stdio", run_stdio)
        verdict = StdioVerifier(sandbox).verify(problem, source)
    assert verdict.status is Status.FAIL
    return counted


@pytest.mark.parametrize("wrong", [{1}, {2}, {5}, {1, 3}, {1, 2, 3, 4, 5}])
def test_how_often_a_program_runs_does_not_tell_where_it_was_wrong(sandbox: Sandbox, wrong: set[int]) -> None:
    wanted = ["NO" if at in wrong else "YES" for at in range(6)]
    assert runs_of(sandbox, "print('YES')", wanted) == 6


def test_the_verdict_is_that_of_the_first_wrong_case(sandbox: Sandbox) -> None:
    cases = tuple(StdioCase(stdin=str(at), stdout="3\n" if at == 1 else f"{at}\n") for at in range(4))
    problem = Problem(id="p", prompt="?", verifier="stdio", reference=StdioReference(cases=cases))
    for last in ("", "if n == 3: 1 / 0\n", "if n == 3:\n    while True: pass\n"):
        source = f"n = int(input())\n{last}print(n)\n"
        verdict = StdioVerifier(sandbox).verify(problem, source)
        assert (verdict.status, verdict.reason) == (Status.FAIL, "case 2 of 4: wrong output")


# Guesses YES until it is stopped, and keeps what it learns: the letters that are sure, then one that is a guess. A new
# sample (case 0) means that the last guess was wrong. {remember} defines ``load() -> int`` and ``keep(int)``.
THIEF = """
{remember}
case = int(input())
known = bin(load() or 1)[3:]
if case == 0 and known.endswith('1'):
    known = known[:-1] + '0'
if case >= len(known):
    known += '1'
keep(int('1' + known, 2))
print('YES' if known[case] == '1' else 'NO')
"""
IN_A_FILE = """
def load():
    try: return int(open({path!r}).read())
    except (OSError, ValueError): return 0
def keep(value): open({path!r}, 'w').write(str(value))
"""
IN_INODE_NUMBERS = """
import os
def number():
    os.mkdir('x'); found = os.stat('x').st_ino; os.rmdir('x')
    return found % 16384
def load(): return max(number() - 1000, 0) if os.getcwd() != '/' else 0
def keep(value):
    while os.getcwd() != '/' and number() != value + 999: pass
"""
WANTED = ["YES", "NO", "NO", "YES", "YES", "NO", "YES", "NO", "NO", "NO", "YES", "NO"]


def passes_of(sandbox: Sandbox, source: str, samples: int = 16) -> int:
    cases = tuple(StdioCase(stdin=str(at), stdout=answer) for at, answer in enumerate(WANTED))
    problem = Problem(id="p", prompt="?", verifier="stdio", reference=StdioReference(cases=cases))
    verifier = StdioVerifier(sandbox)
    return sum(bool(verifier.verify(problem, source).passed) for _ in range(samples))


def test_samples_do_not_crack_hidden_outputs_together(sandbox: Sandbox) -> None:
    assert passes_of(sandbox, THIEF.format(remember=IN_INODE_NUMBERS)) == 0


def test_a_memory_of_their_own_would_not_help_samples_to_crack_hidden_outputs() -> None:
    """Outside of any sandbox, where samples may write to a file: what they see of their verdicts is too little."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, Sandbox("none") as unsafe:
        Path(folder).chmod(0o777)
        assert passes_of(unsafe, THIEF.format(remember=IN_A_FILE.format(path=f"{folder}/kept"))) == 0
        assert Path(folder, "kept").exists()
