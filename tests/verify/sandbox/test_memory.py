"""Memory layout of the zygote: only addresses change. Each test runs in a process of its own."""

import subprocess

from tests.support.places import ROOT
from verify.sandbox.launch import base_interpreter

PRELUDE = "import sys; sys.path.insert(0, sys.argv[1]); from verify.sandbox import memory\n"


def run(source: str) -> str:
    words = [base_interpreter(), "-s", "-S", "-c", PRELUDE + source, str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_code_that_was_moved_still_runs() -> None:
    source = """
import json, re, hashlib, ctypes
before = hashlib.sha256(ctypes.string_at(ctypes.pythonapi.Py_GetVersion, 64)).digest()
memory.inherit_code()
assert hashlib.sha256(ctypes.string_at(ctypes.pythonapi.Py_GetVersion, 64)).digest() == before
import decimal, sqlite3  # loads more libraries
print(json.loads('[1]'), re.sub('a', 'b', 'banana'), decimal.Decimal(1) / 3)
memory.inherit_code()
print(sorted(map(str, range(12))))
"""
    assert run(source).splitlines()[0] == "[1] bbnbnb 0.3333333333333333333333333333"


def test_moved_code_is_private_and_cannot_be_written() -> None:
    source = """
import os
memory.inherit_code()
with open("/proc/self/maps") as file:
    lines = [line.split() for line in file]
if os.uname().machine == "x86_64":
    files = [line for line in lines if len(line) > 5 and ".so" in line[5] and "x" in line[1]]
    assert not files, files
assert not [line for line in lines if "w" in line[1] and "x" in line[1]]
print("well")
"""
    assert run(source) == "well\n"


def test_files_can_be_left_where_they_are() -> None:
    source = """
import _ctypes
memory.inherit_code([_ctypes.__file__])
with open("/proc/self/maps") as file:
    print(any(_ctypes.__file__ in line and "x" in line for line in file))
"""
    assert run(source) == "True\n"


def test_memory_that_is_mapped_meanwhile_stays() -> None:
    """The moved code leaves free addresses behind, and the kernel gives them to the next one that asks."""
    source = """
import mmap
call, meanwhile = memory._call, []
def call_and_map(name, *arguments):
    result = call(name, *arguments)
    if name == "mremap":
        meanwhile.append(mmap.mmap(-1, arguments[1]))
    return result
memory._call = call_and_map
memory.inherit_code()
for block in meanwhile:
    block[0] = 1
print("well")
"""
    assert run(source) == "well\n"


def test_after_filling_new_objects_lie_in_a_row() -> None:
    source = """
import random
kept = [bytes(random.randrange(1, 479)) for _ in range(20_000)]
del kept[::2]
full = memory.fill_pools()
for size in range(48, 513, 16):
    blocks = [bytes(size - 33) for _ in range(13)]
    steps = [id(b) - id(a) for a, b in zip(blocks, blocks[1:])]
    assert steps.count(size) >= 8, (size, steps)  # a few may fall into places that this loop itself has freed
print(len(full) < 60_000)
"""
    assert run(source) == "True\n"
