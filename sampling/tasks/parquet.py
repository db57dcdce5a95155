"""Reads rows of a stranger's Parquet file within bounds: a file of 13 kB can unpack to gigabytes.

A text that occurs in many rows is stored once, and so are a million equal numbers. So texts are read as Parquet holds
them, each once with the rows that have it, and what a batch unpacks to is counted before it is unpacked.
"""

from collections.abc import Container, Iterator
from typing import Any, BinaryIO

from sampling.errors import BadInput

MOST_BYTES = 256 << 20  # of the rows that are read at a time
MOST_IN_ROW = 100_000  # values of a column, lists included, for one row on average
MOST_VALUES = 4_000_000  # values of a column that are read at a time, lists included, on average
MOST_PAGES = 1 << 30  # bytes of one column in one row group, unpacked


def read_batches(file: str | BinaryIO, where: str, columns: Container[str] | None, rows: int) -> Iterator[list[Any]]:
    """Yields ``rows`` rows at a time, as dicts of Python values, and fewer where lists are long.

    Raises BadInput, and Arrow's errors and OSError.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as plain:
        schema, names = plain.schema, [name for name in plain.schema_arrow.names if columns is None or name in columns]
        leaves = [schema.column(number) for number in range(len(schema))]
        rows = max(1, min(rows, int(MOST_VALUES / _check_claims(plain.metadata, names, where))))
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    if not isinstance(file, str):
        file.seek(0)
    with pq.ParquetFile(file, read_dictionary=texts, page_checksum_verification=True) as opened:
        first = 1
        for batch in opened.iter_batches(batch_size=rows, columns=names, use_threads=False):
            if sum(map(_unpacked, batch.columns)) > MOST_BYTES:
                raise BadInput(f"{where}: rows {first} to {first + len(batch) - 1} unpack to more than "
                               f"{MOST_BYTES >> 20} MiB; allowed: texts that fit in memory")  # fmt: skip
            first += len(batch)
            yield batch.to_pylist()


def _check_claims(metadata: Any, names: list[str], where: str) -> float:
    """Returns the most values of a column for one row, on average; raises BadInput where the file says too many."""
    longest = 1.0
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            if column.path_in_schema.partition(".")[0] not in names:
                continue
            longest = max(longest, column.num_values / max(group.num_rows, 1))
            if column.num_values > MOST_IN_ROW * max(group.num_rows, 1):
                raise BadInput(f"{where}: column {column.path_in_schema} has {column.num_values:,} values in "
                               f"{group.num_rows:,} rows; allowed: {MOST_IN_ROW:,} in a row")  # fmt: skip
            if column.total_uncompressed_size > MOST_PAGES:
                raise BadInput(f"{where}: column {column.path_in_schema} unpacks to {column.total_uncompressed_size:,} "
                               f"bytes in one row group; allowed: {MOST_PAGES:,}")  # fmt: skip
    return longest


def _unpacked(array: Any) -> int:
    """Returns the bytes of a column's values, each text counted as often as it occurs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths = pc.cast(pc.binary_length(array.dictionary), pa.int64())
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0) + int(array.indices.nbytes)
    if pa.types.is_struct(array.type):
        return sum(map(_unpacked, array.flatten()))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_map(array.type):
        return int(array.nbytes) + _unpacked(array.items if pa.types.is_map(array.type) else array.flatten())
    return int(array.nbytes)
