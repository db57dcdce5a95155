"""Random sequences of system calls that the sandbox allows, as programs; and an honest program that looks around."""

import json
import random

from verify.sandbox import filters
from verify.sandbox.syscalls import machine, numbers

CALLS = 400  # in one program
# They end the program, or wait: it would make no other call.
_LAST = {"exit", "exit_group", "pause", "rt_sigsuspend", "rt_sigreturn", "sched_yield", "restart_syscall"}
_DEADLY = {"munmap", "mremap", "mprotect", "mmap", "brk", "arch_prctl", "rt_sigaction", "clone", "sigaltstack"}
_PLAIN = (0, 0, 1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 127, 128, 255, 4096, 65536, 1 << 20, 1 << 31, 1 << 40, -1, -100)
_PATHS = ("/tmp", "/tmp/a", "/tmp/b", "a", "b", ".", "..", "/dev/null", "/etc/passwd", "/proc/self/mem", "/", "")
_ADDRESSES = ("buffer", "path", "other")
# Makes each call and counts it in a byte on standard error; dies of many of them, which is as good as any end.
_PROGRAM = """
import ctypes, json, os, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)  # no call waits for long
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
buffer = ctypes.create_string_buffer(os.urandom(8) + bytes(65528), 65536)
for number, arguments in json.loads({calls!r}):
    given = []
    for kind, value in arguments:
        if kind == 'path':
            given.append(ctypes.c_char_p(value.encode()))
        else:
            at = ctypes.addressof(buffer) + value if kind == 'buffer' else value
            given.append(ctypes.c_void_p(at & 0xffffffffffffffff))
    os.write(2, b'.')
    libc.syscall(ctypes.c_long(number), *given)
"""
HONEST = """
import os, sys
try:
    left = os.listdir('/tmp')
except OSError:
    left = []
opened = []
for number in range(100):
    try:
        os.fstat(number); opened.append(number)
    except OSError:
        pass
n = int(input())
print(n * n, left, opened, os.getcwd() in ('/', '/tmp'), oct(os.umask(0o22)), sys.getrecursionlimit())
"""
EXPECTED = "144 [] [0, 1, 2] True 0o22 1000\n"


def allowed(isolated: bool) -> list[tuple[str, int]]:
    """Returns names and numbers of the calls that a child may make, with some arguments at least."""
    known, child = numbers(machine()), filters._of_a_child()
    rules = filters._of_a_zygote(isolated)
    return [
        (name, known[name])
        for name, rule in sorted(rules.items())
        if name in known and name not in _LAST and (rule == filters.ALLOW or isinstance(rule, list))
        and child.get(name) != filters.EPERM
    ]  # fmt: skip


def make_program(dice: random.Random, isolated: bool) -> str:
    """Returns a program of CALLS calls; about half of all prefer one call, so that some sequences go deep."""
    calls = allowed(isolated)
    favourite = dice.choice(calls)
    made = []
    for _ in range(CALLS):
        name, number = favourite if dice.random() < 0.3 else dice.choice(calls)
        if name in _DEADLY and dice.random() < 0.9:
            continue
        made.append([number, [_argument(dice) for _ in range(6)]])
    return _PROGRAM.format(calls=json.dumps(made))


def _argument(dice: random.Random) -> tuple[str, int | str]:
    kind = dice.random()
    if kind < 0.35:
        return "buffer", dice.choice((0, 8, 4096, 65528))
    if kind < 0.5:
        return "path", dice.choice(_PATHS)
    return "number", dice.choice(_PLAIN) if kind < 0.9 else dice.getrandbits(dice.choice((8, 16, 32, 63)))
