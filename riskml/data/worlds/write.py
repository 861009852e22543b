"""Worlds on disk: in goes a made world and a folder, out come Parquet files, all of them or none.

The same world gives the same bytes: fixed row order, fixed encodings, no clock and no pandas metadata in the files.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from riskml.data.worlds import Made


def write_world(world: Made, folder: Path, truth: Path | None = None) -> list[Path]:
    """Write every table into `folder` as `NAME.parquet` and, if asked, the truth to a file elsewhere.

    Files are first written beside their targets and renamed together, so a failure leaves what was there before.

    Returns:
        the paths written, in the order of the tables.

    Raises:
        OSError: the folder cannot be made or written.
    """
    targets = [(folder / f"{name}.parquet", frame) for name, frame in world.tables.items()]
    if truth is not None:
        targets.append((truth, world.truth))
    staged: list[tuple[Path, Path]] = []
    temporary: dict[Path, Path] = {}
    try:
        for path, frame in targets:
            if path.parent not in temporary:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary[path.parent] = Path(tempfile.mkdtemp(prefix=".world-", dir=path.parent))
            draft = temporary[path.parent] / path.name
            _write(frame, draft)
            staged.append((draft, path))
        for draft, path in staged:
            draft.replace(path)
    finally:
        for place in temporary.values():
            shutil.rmtree(place, ignore_errors=True)
    return [path for _, path in staged]


def _write(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    table = table.cast(pa.schema([_plain(field) for field in table.schema]))
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    sequences = [field.name for field in table.schema if pa.types.is_int64(field.type)] + times[:1]
    ids = [name for name in table.column_names[:1] if name in text and name.endswith("_id")]
    encodings = dict.fromkeys([*numbers, *times], "BYTE_STREAM_SPLIT")
    encodings |= dict.fromkeys(sequences, "DELTA_BINARY_PACKED")
    encodings |= dict.fromkeys(ids, "DELTA_BYTE_ARRAY")
    dictionary = [name for name in text if name not in ids]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=dictionary,
        column_encoding=encodings,
        row_group_size=1_000_000,
    )


def _plain(field: pa.Field) -> pa.Field:
    """Strings as ordinary strings, whatever pandas keeps them in."""
    if pa.types.is_large_string(field.type) or pa.types.is_null(field.type):
        return pa.field(field.name, pa.string())
    return field
