"""Parquet files that are whole or not there, in shards of bounded size."""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.rows import SCHEMA
from recipe.zppo.run.files import write_atomically

ROWS_PER_GROUP = 64
"""Small, since a row with its picture may have a megabyte: a reader holds one row group."""


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema = SCHEMA) -> int:
    """Writes a file of the rows, by rename when it is complete; their number. Holds one row group in memory.

    The same rows give the same bytes.

    Raises:
        BuildError: the disk is full, or the folder can't be written to.
    """
    count = 0

    def fill(temporary: str) -> None:
        nonlocal count
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            left = iter(rows)
            while group := list(islice(left, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema), row_group_size=ROWS_PER_GROUP)
                count += len(group)

    with readable_disk_errors(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(str(path), fill)
    return count


@contextmanager
def readable_disk_errors(path: str | Path) -> Iterator[None]:
    """What the operating system refuses, an `OSError`, as a `BuildError` of one line that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildError(f"{path}: the disk is full; free some space and run the same command again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise BuildError(f"{path}: no permission to write there; choose another folder with out=") from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise BuildError(f"{path}: a file stands where a folder is needed; choose another out=") from error
        raise BuildError(f"{path}: can't be written: {os.strerror(error.errno or 0)}") from error
