"""Parquet files of a data set, split by split, each closed at a size: equal rows make equal bytes."""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sampling.errors import BadInput
from sampling.validate import Plain

PART_BYTES = 128 << 20  # of all splits together: so much is held before a file is written
_GROUP_ROWS, _GROUP_CHARACTERS = 8192, 16 << 20
MOST_SPLITS = 8


class TrainingFile(Plain):
    """One Parquet file of a data set for training."""

    name: str
    """Name of the file in the export."""

    split: str
    """Split that the file belongs to."""

    rows: int
    """Number of rows."""

    sha256: str
    """SHA-256 of the file."""


@dataclass
class _Split:
    """One split: the rows that are no group yet, and the file that is open."""

    name: str
    schema: pa.Schema
    most: int
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    characters: int = 0
    buffer: io.BytesIO | None = None
    writer: Any = None
    written: int = 0
    number: int = 0

    def add(self, row: Mapping[str, Any], characters: int) -> Iterator[tuple[TrainingFile, bytes]]:
        self.rows.append(row)
        self.characters += characters
        if len(self.rows) >= _GROUP_ROWS or self.characters >= _GROUP_CHARACTERS:
            self._write_group()
            if self.buffer is not None and self.buffer.tell() >= self.most:
                yield self._closed()

    def close(self) -> Iterator[tuple[TrainingFile, bytes]]:
        self._write_group()
        if self.buffer is not None:
            yield self._closed()

    def _write_group(self) -> None:
        if not self.rows:
            return
        if self.buffer is None:
            self.buffer = io.BytesIO()
            self.writer = pq.ParquetWriter(
                self.buffer, self.schema, compression="zstd", compression_level=3, write_page_checksum=True,
                store_schema=False,
            )  # fmt: skip
        columns = [
            pa.array([row[name] for row in self.rows], self.schema.field(name).type) for name in self.schema.names
        ]
        self.writer.write_table(pa.table(columns, schema=self.schema))
        self.written += len(self.rows)
        self.rows, self.characters = [], 0

    def _closed(self) -> tuple[TrainingFile, bytes]:
        assert self.buffer is not None
        self.writer.close()
        data, name = self.buffer.getvalue(), f"data/{self.name}-{self.number:05d}.parquet"
        digest = hashlib.sha256(data).hexdigest()
        file = TrainingFile(name=name, split=self.name, rows=self.written, sha256=digest)
        self.buffer, self.writer, self.written, self.number = None, None, 0, self.number + 1
        return file, data


@dataclass
class Parts:
    """The splits of a data set; ``put`` is called with each file when it is whole."""

    splits: Sequence[tuple[str, float]]
    schema: pa.Schema
    put: Callable[[TrainingFile, bytes], None]
    seed: int
    most: int = PART_BYTES
    rows: dict[str, int] = field(default_factory=dict)
    files: list[TrainingFile] = field(default_factory=list)
    _open: dict[str, _Split] = field(default_factory=dict)

    def split_of(self, prompt: str) -> str:
        """Returns the split of a prompt, by its text: equal prompts never lie in two splits."""
        key = f"{self.seed}\0{prompt}".encode("utf-8", "replace")
        place = int.from_bytes(hashlib.blake2b(key, digest_size=7).digest(), "big") / (1 << 56)
        for name, share in self.splits:
            place -= share
            if place < 0:
                return name
        return self.splits[-1][0]

    def add(self, split: str, row: Mapping[str, Any], characters: int) -> None:
        if split not in self._open:
            self._open[split] = _Split(split, self.schema, self.most // len(self.splits))
        self.rows[split] = self.rows.get(split, 0) + 1
        self._put(self._open[split].add(row, characters))

    def close(self) -> None:
        for name, _ in self.splits:
            if name in self._open:
                self._put(self._open[name].close())

    def _put(self, files: Iterator[tuple[TrainingFile, bytes]]) -> None:
        for file, data in files:
            self.put(file, data)
            self.files.append(file)


def parse_splits(text: str) -> tuple[tuple[str, float], ...]:
    """Returns names with their shares, of ``train`` or ``train=0.9,test=0.1``; raises BadInput."""
    wrong = f"--split {text}: allowed: a name, or shares that add up to 1, as train=0.9,test=0.1"
    pairs = [part.strip().partition("=") for part in text.split(",")]
    if len(pairs) == 1 and not pairs[0][1]:
        pairs = [(pairs[0][0], "=", "1")]
    found = []
    for name, _, share in pairs:
        try:
            found.append((name, float(share)))
        except ValueError as error:
            raise BadInput(wrong) from error
    names = [name for name, _ in found]
    good = all(name.isascii() and name.replace("_", "a").isalnum() and len(name) <= 32 for name in names)
    shares = all(0 < share <= 1 for _, share in found) and abs(sum(share for _, share in found) - 1) < 1e-6
    if not good or not shares or len(set(names)) < len(names) or len(names) > MOST_SPLITS:
        raise BadInput(wrong)
    return tuple(found)
