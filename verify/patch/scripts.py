"""Shell scripts that apply patches and run tests, the same for a jail and a container. Pure text.

A script is one group of commands, which the shell reads to its end before it runs any of them. It ends with 0 whatever
the tests did, and with another code only if a step of our own failed before any code of a candidate ran. Texts of
strangers are here-documents between marks that nobody can foresee.
"""

import secrets
from collections.abc import Sequence

from verify.patch.outcomes import Control

UNREADY, UNAPPLIED, UNTOLD = 3, 4, 5  # no workspace; the diff does not apply; git cannot list the changes
OWN_CODES = (0, UNREADY, UNAPPLIED, UNTOLD)
_VARIABLES = {
    "PYTEST_ADDOPTS": "'-rA -v --show-capture=no --color=no --continue-on-collection-errors'",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}


def touched_script(to_index: str, diff: str) -> str:
    """Returns a script that applies a diff to an index, after ``to_index``, and prints the changes."""
    apply = f"git apply --cached --whitespace=nowarn 2>/tmp/said || {{ cat /tmp/said; exit {UNAPPLIED}; }}"
    tell = f"git diff-index --cached --raw -z --no-renames --abbrev=40 HEAD || exit {UNTOLD}"
    return _group(f"{{ {to_index}; }} || exit {UNREADY}", _fed(apply, diff), tell)


def tests_script(to_tree: str, diffs: Sequence[str], control: Control | None, command: str) -> str:
    """Returns a script that applies the diffs to the tree, after ``to_tree``, and runs the tests."""
    exports = " ".join(f"{name}={value}" for name, value in _VARIABLES.items())
    steps = [f"export {exports}", f"{to_tree} || exit {UNREADY}"]
    steps += [_fed(f"git apply --whitespace=nowarn || exit {UNAPPLIED}", diff) for diff in diffs]
    if control:
        steps.append(_fed(f"cat >{control.file}", control.source))
    told = f"{command.rstrip()} {control.argument if control else ''}"
    return _group(*steps, "exec </dev/null 2>&1", told)


def _group(*steps: str) -> str:
    return "\n".join(["{", *steps, "exit 0", "}", ""])


def _fed(command: str, text: str) -> str:
    """Returns shell text that gives ``text`` to the first command of a line as standard input."""
    mark = f"END_{secrets.token_hex(16)}"
    assert mark not in text and text.endswith("\n")
    return f"<<'{mark}' {command}\n{text}{mark}"
