"""Names that a task's own tests use but do not define: what the candidate has to define, and modules to import.

Read from the task's code alone, before any candidate is known; nothing is executed.
"""

import ast
import builtins
import importlib.util
import symtable
import sys
from collections.abc import Iterable, Iterator
from functools import cache

# Names that tests borrow to compare: no task asks for them, unless its asserts need nothing else.
_HELPERS = {
    **dict.fromkeys(("isclose", "inf", "nan", "pi", "tau"), "math"),
    **dict.fromkeys(("Counter", "OrderedDict", "defaultdict", "deque"), "collections"),
    **{"Fraction": "fractions", "Decimal": "decimal", "timedelta": "datetime"},
}
_NUMPY = {"np": "import numpy as np", "numpy": "import numpy"}


def wanted_names(setup: str, asserts: Iterable[str], entry_point: str | None) -> tuple[str, ...]:
    """Returns the names that asserts need from the candidate, the entry point first.

    A name counts if the asserts read it, called or not, and neither they nor ``setup`` bind it. Names of built-ins
    belong to the test, unless the asserts need nothing else: a candidate that defines ``set`` must not decide what
    ``assert set(f(x)) == {1}`` means; so do ``isclose``, ``Counter`` and their like. A module of the standard library
    is imported by the test itself.
    """
    first = (entry_point,) if entry_point else ()
    texts = list(asserts)
    read = list(dict.fromkeys(name for text in texts for name in _free_names(text)))
    bound = {name for text in (setup, *texts) for name in _bound_names(text)}
    foreign = [name for name in read if name not in bound and not hasattr(builtins, name)]
    foreign = [name for name in foreign if name not in _modules(texts)]
    foreign = [name for name in foreign if name not in _HELPERS] or ([] if first else foreign)
    called = list(dict.fromkeys(name for text in texts for name in _called(ast.parse(text))))
    own = foreign or ([name for name in called if name not in bound][:1] if not first else [])
    return tuple(dict.fromkeys((*first, *own)))


def missing_imports(setup: str, texts: Iterable[str], wanted: Iterable[str]) -> str:
    """Returns imports of what tests use of the standard library without importing it, but for the names ``wanted``."""
    texts = list(texts)
    known = {name for text in (setup, *texts) for name in _bound_names(text)} | set(wanted)
    modules = [name for name in _modules(texts) if name not in known]
    lines = [_NUMPY.get(name, f"import {name}") for name in modules]
    helpers: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for text in texts for name in _free_names(text)):
        if name in _HELPERS and name not in known:
            helpers.setdefault(_HELPERS[name], []).append(name)
    lines += [f"from {module} import {', '.join(names)}" for module, names in helpers.items()]
    return "".join(f"{line}\n" for line in lines)


def _modules(texts: Iterable[str]) -> list[str]:
    """Returns the names of modules of which the texts use attributes, and that they use in no other way."""
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    names: dict[str, bool] = {}
    for node in nodes:
        if isinstance(node, ast.Name):
            names[node.id] = names.get(node.id, True) and id(node) in owners
    return [name for name, only_owner in names.items() if only_owner and _is_module(name)]


def _is_module(name: str) -> bool:
    return name in sys.stdlib_module_names or (name in _NUMPY and _has_numpy())


@cache
def _has_numpy() -> bool:
    return importlib.util.find_spec("numpy") is not None


def _free_names(text: str) -> list[str]:
    """Returns names that a text reads from outside of it, in the order of their first use."""
    free = set(_globals_of(symtable.symtable(text, "tests.py", "exec")))
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name) and node.id in free]
    return [node.id for node in sorted(names, key=lambda node: (node.lineno, node.col_offset))]


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or top):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _globals_of(inner)


def _bound_names(text: str) -> Iterator[str]:
    """Yields the names that a text binds at its top level, those of ``from module import *`` too."""
    for symbol in symtable.symtable(text, "tests.py", "exec").get_symbols():
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            yield symbol.get_name()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and _is_module(node.module or ""):
            yield from _public_names(node.module or "")


@cache
def _public_names(module: str) -> tuple[str, ...]:
    loaded = importlib.import_module(module)
    return tuple(getattr(loaded, "__all__", None) or (name for name in vars(loaded) if not name.startswith("_")))


def _called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
