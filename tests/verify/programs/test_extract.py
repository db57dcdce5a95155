"""The program that a completion offers: fences, continuations, prose, and any text without an exception."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cost import cpu_below
from verify.programs.candidate import published_code
from verify.programs.extract import MAX_TEXT, extract_code

PREFIX = 'import math\n\n\ndef helper(x):\n    return x\n\n\ndef area(r):\n    """The area of a circle."""\n'
BODY = "    return math.pi * helper(r) ** 2\n"
HEAD = "import math\n\n\ndef helper(x):\n    return x\n\n\n"
WHOLE = "import math\n\n\ndef area(r):\n    return math.pi * r**2\n"


def continued(text: str) -> str | None:
    return extract_code(text, prefix=PREFIX, entry_point="area")


def test_a_body_continues_the_prefix() -> None:
    assert continued(BODY) == PREFIX + BODY


@pytest.mark.parametrize(
    "junk",
    [
        "\nprint(area(2))\n",
        "\nif __name__ == '__main__':\n    area(1)\n",
        "```\nThis computes the area.",
        "\nThe function returns the area.\n",
        "\ndef area(r):\n    return 0\n",
        "\nassert area(0) == 0\n",
        "\ndef cut_off(x):\n    return (x +",
        '\n"""\nmore tests\n"""\n',
    ],
)
def test_what_follows_the_body_is_cut(junk: str) -> None:
    program = continued(BODY + junk)
    assert program is not None
    assert program.strip() == (PREFIX + BODY).strip()


def test_helpers_after_the_body_are_kept() -> None:
    text = "    return later(r)\n\n\ndef later(r):\n    return LIMIT * r\n\n\nLIMIT = 3\n\nprint(area(1))\n"
    assert continued(text) == PREFIX + text.removesuffix("print(area(1))\n")


def test_a_body_may_hold_unindented_lines_in_strings_brackets_and_comments() -> None:
    text = '    text = """\nnot code (\n"""\n    values = [\n1,\n2]\n# a comment\n    return values\n'
    assert continued(text) == PREFIX + text


def test_a_broken_body_is_still_a_candidate() -> None:
    assert continued("    return (r\n") == PREFIX + "    return (r\n"


def test_a_block_that_defines_the_entry_point_gets_the_prefix_head() -> None:
    text = f"Sure:\n\n```python\n{WHOLE}```\nTry it:\n```python\nprint(area(2))\n```\n"
    assert continued(text) == HEAD + WHOLE


def test_a_one_space_sentence_before_a_block_is_no_continuation() -> None:
    assert continued(f" Here it is:\n```python\n{WHOLE}```") == HEAD + WHOLE


def test_a_fenced_body_continues_the_prefix() -> None:
    assert continued(f"```python\n{BODY}```") == PREFIX + BODY


def test_the_last_block_wins_where_none_defines_the_entry_point() -> None:
    assert extract_code("```python\na = 1\n```\nor\n```python\nb = 2\n```") == "b = 2\n"


def test_a_call_is_no_definition() -> None:
    text = f"```python\n{WHOLE}```\n```python\narea(2)\n```\n```python\narea == 2\n```"
    assert continued(text) == HEAD + WHOLE
    assert extract_code("```\narea = len\n```\n```\narea(1)\n```", entry_point="area") == "area = len\n"


def test_a_method_is_defined_by_its_class() -> None:
    text = "```python\nclass Solution:\n    pass\n```\nUse:\n```python\nSolution()\n```"
    assert extract_code(text, entry_point="Solution.solve") == "class Solution:\n    pass\n"


def test_a_python_block_goes_before_a_later_unlabelled_one() -> None:
    assert (
        extract_code("```python\nprint(1)\n```\nOutput:\n```\n1\n```\nRun it:\n```bash\npython a.py\n```")
        == "print(1)\n"
    )


def test_an_unclosed_fence_runs_to_the_end() -> None:
    assert extract_code("```python\nprint(1)\nprint(2)") == "print(1)\nprint(2)"


def test_a_forgotten_closing_fence_ends_at_the_next_label() -> None:
    assert extract_code("```python\na = 1\n```python\nb = 2\n```", entry_point="a") == "a = 1\n"


def test_a_fence_that_the_prompt_opened_is_closed_by_the_completion() -> None:
    assert (
        extract_code("import sys\nprint(sys.stdin.read())\n```\nThis echoes.")
        == "import sys\nprint(sys.stdin.read())\n"
    )


def test_a_block_in_a_list_loses_its_indentation() -> None:
    assert extract_code("1. First\n   ```python\n   if True:\n       print(1)\n   ```") == "if True:\n    print(1)\n"


def test_prose_around_unfenced_code_is_trimmed() -> None:
    code = "import sys\n\nfor line in sys.stdin:\n    print(line)\nelse:\n    pass\n\n"
    assert extract_code("Here's the code (it's short:\n\n" + code + "That's all there is to it.") == code


def test_decorators_stay_with_their_function() -> None:
    code = "from functools import cache\n\n@cache\ndef f(n):\n    return n\n\n"
    assert extract_code(code + "I hope this helps!") == code


def test_thoughts_and_what_follows_done_do_not_count() -> None:
    assert extract_code("```python\nwrong()\n```</think>print(1)") == "print(1)"
    assert extract_code("print(1)\n[DONE]\n\nYou are an expert") == "print(1)\n"


@pytest.mark.parametrize(
    "text", ["", " \n", "I cannot solve this.", "42", "Answer", "print(", "x = '\0'", "x = '\ud800'"]
)
def test_nothing_extractable(text: str) -> None:
    assert extract_code(text) is None


def test_over_long_text_offers_nothing() -> None:
    assert extract_code("x = 1\n" * (MAX_TEXT // 6 + 1)) is None


HOSTILE = [
    "x" + ".a" * 180_000,
    "1+" * 180_000 + "1",
    "not " * 80_000 + "1",
    "lambda:" * 40_000 + "1",
    "[" * 380_000,
    "-" * 380_000 + "1",
    "f'{" * 60_000,
    "if 1:\n 1\n" + "elif 1:\n 1\n" * 20_000,
    '"""' * 120_000,
    "'" * 380_000,
    "```\n" * 80_000,
    "```a" * 80_000,
    "`" * 380_000,
    "def f():\n" * 40_000,
    "@a\n" * 120_000,
    "a\n" * 180_000,
    " " * 380_000,
    "\n" * 380_000,
    "\\\n" * 180_000,
    "</think>" * 40_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_hostile_text_costs_little(text: str) -> None:
    with cpu_below(10):
        extract_code(text)
        continued(text)


WORDS = ["```", "```python", "~~~", "'", "(", "]", "\\", "#", "@a", "else:", "Well, ", "</think>", "[DONE]", "x=1"]
PIECES = st.sampled_from([*WORDS, '"""', "    return r\n", "def area(r):\n", chr(0xD800), *"\n\0\f\t\r\u2028"])


@given(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_program_or_none(text: str) -> None:
    for program in (extract_code(text), continued(text)):
        assert program is None or (program.strip() and program.encode())


@given(st.text(max_size=200), st.text(max_size=50), st.text(max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_prefix_and_entry_point_do(text: str, prefix: str, entry_point: str) -> None:
    extract_code(text, prefix=prefix, entry_point=entry_point)


STATEMENTS = st.sampled_from(
    [
        "import sys\n",
        "x = [\n1]\n",
        "def f(a):\n    return a\n",
        "class A:\n    pass\n",
        "if x:\n    y = 1\nelse:\n    y = 2\n",
        't = """\ntext\n"""\n',
        "# a comment\n",
        "\n",
        "@f\ndef g():\n    pass\n",
        "s = 'it\\'s'\n",
    ]
)


@given(st.lists(STATEMENTS, min_size=1).map("".join))
@settings(max_examples=200, deadline=None)
def test_pure_code_stays_as_it_is(code: str) -> None:
    program = extract_code(code)
    if program is not None:
        assert program == code
        assert extract_code(program) == program


ADD = 'def add(a, b):\n    """Adds."""\n'


def added(text: str) -> str | None:
    return extract_code(text, prefix=ADD, entry_point="add")


@pytest.mark.parametrize(
    "text",
    [
        "return a + b",
        "s = a\n    s += b\n    return s",
        "\n\nreturn a + b\n\nThis adds the two numbers.",
        "   s = a\n    return s + b",
        "   s = a\n   return s + b\n",
        "for _ in range(b):\n        a += 1\n    return a",
        "for _ in range(b):\n    a += 1\nreturn a",
        "if a:\n    a = a\nelse:\n    a = 0\nreturn a + b\n\nIt works because addition is simple.",
        "```python\ns = a + b\nreturn s\n```",
        "Here:\n```\nreturn helper(a, b)\n```\n",
        "import operator\nreturn operator.add(a, b)",
        'text = """\nkept\n"""\nreturn a + b',
        "```python\ns = a\n    return s + b\n```",
    ],
)
def test_a_body_that_lost_its_indentation_continues_the_prefix(text: str) -> None:
    """Kind: the first line stripped, all lines in the first column, or lines one space short; plain or in a fence."""
    program = added(text)
    assert program is not None
    assert program.startswith(ADD)
    scope: dict[str, object] = {"helper": lambda a, b: a + b}
    exec(program, scope)  # noqa: S102
    assert scope["add"](1, 2) == 3  # type: ignore[operator]


@pytest.mark.parametrize(
    "text", ["     return a + b\n", "\t return a + b\n", "return a +\n", "def sub(a, b):\n    return a + b", "a\n"]
)
def test_what_is_no_lost_indentation_is_not_repaired(text: str) -> None:
    """Kind: lines too far right, tabs, syntax errors, another function's definition."""
    program = added(text)
    scope: dict[str, object] = {}
    try:
        exec(program or "", scope)  # noqa: S102
    except SyntaxError:
        return
    assert "add" not in scope or scope["add"](1, 2) != 3  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("[BEGIN]\nx = 1\n[DONE]\nMore", "x = 1\n"),
        ("Sure.\n[BEGIN]\nx = 1 [DONE]", "x = 1 "),
        ("  [BEGIN]\nx = 1\n  [DONE]", "x = 1\n"),
        ("[PYTHON]\nx = 1\n[/PYTHON]\nDone", "x = 1\n"),
        ("<code>\nx = 1\n</code>", "x = 1\n"),
        ("Text\n<answer>\nx = 1\n</answer>\nmore", "x = 1\n"),
        ("<answer>\n```python\nx = 1\n```\n</answer>", "x = 1\n"),
        ("<solution>x = 1</solution>", "x = 1"),
        ("<code>just words</code>\nx = 1", None),
        ("x = 1<|endoftext|>", "x = 1"),
        ("x = 1\n<|im_end|>\n<|im_start|>user\nx = 2", "x = 1\n"),
        ("\ufeffx = 1", "x = 1"),
        ("<think>\n```python\nx = 1\n```\nBut wait", None),
        ("x = [\n    1,\n]\n", "x = [\n    1,\n]\n"),
    ],
)
def test_marks_and_tags_around_a_program(text: str, program: str | None) -> None:
    """Kind: MBPP's marks, tags in place of fences, special tokens, thoughts that are cut off."""
    assert extract_code(text) == program


@pytest.mark.parametrize("quotes", ["'''", '"""'])
def test_a_fence_inside_a_string_closes_nothing(quotes: str) -> None:
    code = f"s = {quotes}\n```\ntext\n```\n{quotes}\nprint(s)\n"
    assert extract_code(f"```python\n{code}```\nThat is all.") == code
    assert extract_code(f"```python\nx = 1\n```\ntext {quotes}\n```python\ny = 2\n```") == "y = 2\n"


def test_of_a_program_that_prints_the_blocks_that_print_count() -> None:
    text = "```python\nprint(1)\n```\nTry it:\n```python\nassert 1 == 1\n```"
    assert extract_code(text, prints=True) == "print(1)\n"
    assert extract_code(text) == "assert 1 == 1\n"


@pytest.mark.parametrize(
    ("text", "prefix", "program"),
    [
        ("    return 1\n\nprint(2)", "def f():\n", "def f():\n    return 1\n"),
        ("    return 1\n#x", "def f():\n", "def f():\n    return 1"),
        ("    return 1\nclassy = 2", "def f():\n", "def f():\n    return 1"),
        ("return 1", "def f():\n", "def f():\nreturn 1"),
        ("```python\nx = 1\n```", "", "```python\nx = 1\n```"),
        ("x = 1\n[DONE]\ny", "", "x = 1\n"),
        ("Sure!\nx = 1", "", "Sure!\nx = 1"),
        ("", "", None),
    ],
)
def test_published_code_drops_and_repairs_nothing(text: str, prefix: str, program: str | None) -> None:
    assert published_code(text, prefix) == program


NEW_HOSTILE = [
    "[BEGIN]\n" * 40_000,
    "[DONE" * 60_000,
    "<code>" * 60_000,
    "\n<code>" * 56_000,
    "```python\ns='''\n" * 20_000,
    "```python\n'''\n```\n" * 18_000,
    "```" + "\t" * 380_000 + "`",
    "~" * 380_000 + "`",
    ("```" + " " * 200 + "`\n") * 9_000,
    "return 1\n" * 40_000,
    "    \n" * 60_000,
    "if a:\n" * 60_000,
    "9" * 380_000,
    "x = " + "9" * 18_000 + "\n",
]


@pytest.mark.parametrize("text", NEW_HOSTILE, ids=lambda text: repr(text[:8]))
def test_marks_and_bodies_cost_little(text: str) -> None:
    with cpu_below(20):
        for completion in (text, f"```python\n{text}\n```", f"   {text}"):
            extract_code(completion)
            added(completion)
