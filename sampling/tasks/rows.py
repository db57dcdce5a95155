"""Rows of a task's file (JSONL, a JSON array, CSV, each also gzipped, Parquet, Lean), with their place in the file."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Container, Iterator
from typing import Any

from sampling.errors import BadInput
from sampling.places import HUB
from sampling.problems import load_json
from sampling.s3_folder import S3Options
from sampling.tasks.parquet import read_batches
from sampling.tasks.sources import HUB_FILES, hub_rows, read_bytes
from sampling.theorems import read_file
from sampling.words import printable

MAX_FILE = 4 << 30  # bytes of an unpacked .gz file; a larger one is a mistake or an attack
MOST_CELL = 16 << 20  # characters of one cell of a CSV file
PARQUET_ROWS = 64  # read at a time
Rows = Iterator[tuple[str, Any]]


def read_rows(place: str, columns: Container[str] | None, options: S3Options) -> Rows:
    """Yields (place, row) for a path, an s3:// file or a place on the hub; raises BadInput.

    Of a Parquet or CSV file only ``columns`` are read, where given.
    """
    if place.startswith(HUB) and not place.startswith(HUB_FILES):
        return ((f"{place}: row {number}", row) for number, row in enumerate(hub_rows(place), start=1))
    data = read_bytes(place, options)
    if place.endswith(".lean"):
        return _theorems(_text(data, place), place)
    if place.endswith(".parquet"):
        return _parquet(data, place, columns)
    text = _unpack(data, place) if place.endswith(".gz") else _text(data, place)
    plain = place.removesuffix(".gz")
    if plain.endswith(".csv"):
        return _csv(text, place, columns)
    return (_json if plain.endswith(".json") else _jsonl)(text, place)


def _json(text: str, place: str) -> Rows:
    data = _loaded(text, place)
    if not isinstance(data, list):
        raise BadInput(f"{place}: a JSON array of rows is needed, got {type(data).__name__}")
    yield from ((f"{place}: row {number}", row) for number, row in enumerate(data, start=1))


def _jsonl(text: str, place: str) -> Rows:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{place}:{number}", _loaded(line, f"{place}:{number}")


def _csv(text: str, place: str, columns: Container[str] | None) -> Rows:
    """Yields the rows of a CSV file with a header: texts, and None where a cell is empty; raises BadInput."""
    csv.field_size_limit(MOST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        kept = [(number, name) for number, name in enumerate(header) if columns is None or name in columns]
        twice = next((name for _, name in kept if header.count(name) > 1), None)
        if twice is not None:
            raise BadInput(f"{place}: column {printable(twice)!r} occurs more than once in the first line")
        for number, cells in enumerate((cells for cells in reader if cells), start=1):
            if len(cells) != len(header):
                raise BadInput(f"{place}: row {number}: {len(cells)} cells, but the first line names {len(header)}")
            yield f"{place}: row {number}", {name: cells[at] or None for at, name in kept}
    except csv.Error as error:
        raise BadInput(f"{place}: line {reader.line_num}: cannot be read as CSV ({error})") from error


def _theorems(text: str, place: str) -> Rows:
    for where, theorem, header in read_file(text, place):
        row = {"name": theorem.name, "formal_statement": theorem.statement, "header": header, "proof": theorem.proof}
        yield where, row


def _parquet(data: bytes, place: str, columns: Container[str] | None) -> Rows:
    import pyarrow as pa

    try:
        rows = (row for batch in read_batches(io.BytesIO(data), place, columns, PARQUET_ROWS) for row in batch)
        yield from ((f"{place}: row {number}", row) for number, row in enumerate(rows, start=1))
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{place}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{place}: a text in this file is not UTF-8 ({error.reason})") from error


def _loaded(text: str, where: str) -> Any:
    """Returns parsed JSON that can be written as UTF-8 again; raises BadInput."""
    try:
        data = load_json(text, where)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}: half of a surrogate pair is no text ({error.reason})") from error
    return data


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{place}: cannot be read as UTF-8 text ({error})") from error


def _unpack(data: bytes, place: str) -> str:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            unpacked = file.read(MAX_FILE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{place}: cannot be read as gzipped UTF-8 text ({error})") from error
    if len(unpacked) > MAX_FILE:
        raise BadInput(f"{place}: unpacks to more than {MAX_FILE >> 30} GiB")
    return _text(unpacked, place)
