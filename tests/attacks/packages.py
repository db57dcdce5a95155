"""Attempts that begin with a package: what lies beside it, what it can open and keep, and what it is trusted with."""

from functools import partial

from tests.attacks.case import Case, attempt, expression, forger, program, tested

PACKAGES = ("numpy", "sortedcontainers")
_HERE = "import sortedcontainers, os; here = os.path.dirname(sortedcontainers.__file__)"

_attempt = partial(attempt, packages=PACKAGES)
_expression = partial(expression, packages=PACKAGES)
_program = partial(program, packages=PACKAGES)
_tested = partial(tested, packages=PACKAGES)


def _beside(name: str, body: str) -> Case:
    """Describes an attempt that knows where a package lies."""
    return _attempt(name, f"{_HERE}\n{body}\nreturn True")


CASES = (
    # What lies beside a package stays closed.
    *(_expression(f"import-{name}", f"import {name}", name) for name in ("click", "pydantic", "scipy", "yaml")),
    _expression("import-troop", "import verify, sampling"),
    _expression("import-by-name", "importlib.import_module('click')", "importlib"),
    _beside("list-site-packages", "os.listdir(os.path.dirname(here))"),
    _beside("read-a-neighbour", "open(os.path.join(os.path.dirname(here), 'click', '__init__.py')).read()"),
    _beside("walk-up", "open(os.path.join(here, '../../../../pyvenv.cfg')).read()"),
    _beside("scan", "next(os.scandir(os.path.join(here, '..')))"),
    _beside("path-added", "import sys; sys.path.append(os.path.dirname(here)); import click"),
    _beside(
        "finder-bent",
        "import sys\nfinder = next(f for f in sys.meta_path if type(f).__name__ == 'Importer')\n"
        "finder.places['click'] = os.path.join(os.path.dirname(here), 'click'); import click",
    ),
    _expression("undeclared-numpy", "import numpy", packages=("sortedcontainers",)),
    _expression("declared-none", "import numpy", packages=()),
    # Nothing is written to a package.
    _beside("append", "open(os.path.join(here, '__init__.py'), 'a').write('#')"),
    _beside("create", "open(os.path.join(here, 'evil.py'), 'w').write('x = 1')"),
    _beside("cache", "open(os.path.join(here, '__pycache__', 'x.pyc'), 'wb').write(b'x')"),
    _beside("unlink", "os.unlink(os.path.join(here, '__init__.py'))"),
    _beside("rename", "os.rename(here, here + '2')"),
    _beside("link", "os.symlink('/etc', os.path.join(here, 'etc'))"),
    _beside("mode", "os.chmod(os.path.join(here, '__init__.py'), 0o777)"),
    _beside("times", "os.utime(os.path.join(here, '__init__.py'), (0, 0))"),
    # What NumPy can open for a program.
    _expression("fromfile-passwords", "numpy.fromfile('/etc/passwd', dtype='u1')[0]", "numpy"),
    _expression("fromfile-secret", "numpy.fromfile('@SECRET_FILE@', dtype='u1')[0]", "numpy"),
    _expression("memmap-secret", "numpy.memmap('@SECRET_FILE@', mode='r')[0]", "numpy"),
    _expression("loadtxt-proc", "numpy.loadtxt('/proc/1/environ', dtype=str)", "numpy"),
    _expression("save-outside", "numpy.save('@CANARY@/new', numpy.ones(3))", "numpy"),
    _expression("memmap-outside", "numpy.memmap('@CANARY@/new', mode='w+', shape=9)", "numpy"),
    _expression("savetxt-over", "numpy.savetxt('@CANARY@/keep', numpy.ones(3))", "numpy"),
    _expression("download", "numpy.lib.npyio.DataSource().open('http://127.0.0.1:@PORT@/x')", "numpy"),
    _expression("library", "numpy.ctypeslib.load_library('libc.so.6', '/lib').fork() < 0 and 1 / 0", "numpy.ctypeslib"),
    _attempt(
        "compile",
        "import numpy.f2py, subprocess\nsubprocess.run(['cc', '--version'], check=True)\nreturn True",
    ),
    # A package's memory and time count like everything else's.
    _program("array-bomb", "import numpy\nx = numpy.ones(1 << 30)\nprint('ok')", must="memory"),
    _program(
        "many-arrays", "import numpy\nkept = [numpy.ones(1 << 20) for _ in range(1000)]\nprint('ok')", must="memory"
    ),
    _program("endless-product", "import numpy\na = numpy.ones((900, 900))\nwhile 1: a @ a", must="timeout", wall_s=1.0),
    _program("array-printed", "import numpy, sys\nwhile True: print(numpy.arange(999).tolist())", must="output"),
    _program("sorted-bomb", "import sortedcontainers as s\nx = s.SortedList(range(10 ** 8))", must="memory"),
    # What a package says in the candidate's process convinces nobody.
    forger(
        "answer-of-a-liar",
        """
        import numpy
        class Liar(numpy.ndarray):
            __eq__ = lambda self, other: True
            __hash__ = None
        f = lambda x: numpy.zeros(1).view(Liar)
        """,
        packages=PACKAGES,
    ),
    forger(
        "list-of-a-liar",
        """
        from sortedcontainers import SortedList
        class Liar(SortedList):
            __eq__ = lambda self, other: True
        f = lambda x: Liar([0])
        """,
        packages=PACKAGES,
    ),
    _tested(
        "patched-comparison",
        "import numpy\nnumpy.allclose = numpy.array_equal = lambda *a, **k: True\nf = lambda x: [x + 2.0]",
        "import numpy\nassert numpy.allclose(candidate(1), [2.0])",
    ),
    _tested(
        "patched-assertion",
        "import numpy.testing\nnumpy.testing.assert_allclose = print\nf = lambda x: [x + 2.0]",
        "from numpy.testing import assert_allclose\nassert_allclose(candidate(1), [2.0])",
    ),
    _tested(
        "patched-container",
        "import sortedcontainers as s\ns.SortedList.__eq__ = lambda *a: True\nf = lambda x: [x]",
        "from sortedcontainers import SortedList\nassert SortedList(candidate(1)) == SortedList([2])",
    ),
)
