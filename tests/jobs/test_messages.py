"""Tables of text: aligned, literal, made batch by batch."""

import sys
from collections.abc import Iterator
from typing import Any

from jobs.messages import WIDEST, as_table, table_parts


def test_columns_are_two_spaces_apart() -> None:
    assert as_table(["model", "n"], [("small", 1), ("x", 20)]).splitlines() == ["model  n", "small  1", "x      20"]
    assert as_table(["a", "b"], []) == "a  b"
    assert as_table([], []) == ""


def test_wide_characters_count_as_a_terminal_shows_them() -> None:
    assert as_table(["a", "b"], [("漢字", 1), ("abcd", 2)]).splitlines()[1:] == ["漢字  1", "abcd  2"]


def test_markup_and_control_codes_are_shown_and_do_nothing() -> None:
    table = as_table(["\x1b[31mred"], [("[bold]x[/bold]\n\x1b]0;title\x07\x9b2J\u202e",)])
    assert table.splitlines() == [r"\x1b[31mred", r"[bold]x[/bold]\n\x1b]0;title\x07\x9b2J\u202e"]


def test_a_long_result_is_made_batch_by_batch() -> None:
    asked = 0

    def batches() -> Iterator[list[tuple[Any, ...]]]:
        nonlocal asked
        while True:
            asked += 1
            yield [(asked, "text")]

    parts = table_parts(["n", "text"], batches())
    assert (next(parts), asked) == ("n  text\n1  text", 1)
    assert (next(parts), asked) == ("2  text", 2)


def test_one_long_value_does_not_widen_every_row() -> None:
    table = as_table(["text", "n"], [("x" * 100_000, 1), *[("y", 2)] * 1_000])
    assert sys.getsizeof(table) < 100_000 + 1_001 * (WIDEST + 10)
