"""Objects of any store as an Arrow dataset: nothing is fetched until a query asks, then only the files that it needs.

DuckDB reads S3 with an extension that it downloads first; a cluster may not let it. Reading through our own store needs
nothing, and reaches exactly what the writer reached, with the same endpoint and credentials.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs

from jobs.store.base import Store
from jobs.store.whole import check_schema, check_whole
from sampling.errors import StoreError


class _StoreHandler(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """The part of Arrow's file system interface that reading a list of files needs; all else says what it is."""

    def __init__(self, store: Store, kind: str) -> None:
        self.store, self.kind = store, kind

    def get_type_name(self) -> str:
        return "troop"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[Any]:
        return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> Any:
        """Raises nothing, which would hang DuckDB's scan: an empty file stands for one that is damaged or gone."""
        with contextlib.suppress(StoreError):
            data = self.store.get(path)
            check_schema(check_whole(data, self.kind, path), self.kind, path)
            return pa.PythonFile(pa.BufferReader(data), mode="r")
        return pa.PythonFile(pa.BufferReader(b""), mode="r")

    open_input_stream = open_input_file

    def get_file_info_selector(self, selector: Any) -> list[Any]:
        raise NotImplementedError("files are listed by the store")

    def _read_only(self, *_: Any) -> None:
        raise NotImplementedError("results are written through the store alone")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _read_only
    move = copy_file = open_output_stream = open_append_stream = _read_only


def dataset_of(store: Store, keys: Sequence[str], kind: str, schema: pa.Schema) -> Any:
    """The rows of our files at ``keys`` with the columns of ``schema``, null where a file lacks one.

    A file of a schema from the future is refused by name when it is read.
    """
    import pyarrow.dataset as ds  # with pandas, where that is installed: a second

    handler = fs.PyFileSystem(_StoreHandler(store, kind))
    return ds.dataset(list(keys), schema=schema, format="parquet", filesystem=handler)
