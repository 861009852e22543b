"""Tables of feature values in, scores out, batch by batch: Parquet, CSV, DataFrames and Arrow tables.

The output has one row per input row, in order: the event id if the table holds it, probability, margin, action and, for
alerts, the names of the features behind them (reasons cost a hundred scores, and nobody asks them of the rest). A file
is read and written in bounded memory and appears only when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riskml.errors import DataError, UsageError
from riskml.features.plan import ID_COLUMN, TIME_COLUMN
from riskml.release.delimited import csv_batches
from riskml.release.inputs import Column
from riskml.release.scorer import MANY

if TYPE_CHECKING:
    import pyarrow as pa

    from riskml.release.load import Release

__all__ = ["score_file", "score_table"]

BATCH = 50_000  # rows


def score_table(release: Release, table: Any, reasons: int) -> Any:
    """Scores of a DataFrame or Arrow table, as the same kind of table.

    Raises:
        DataError: a column is missing or of the wrong kind.
    """
    import pyarrow as pa

    if isinstance(table, pa.Table | pa.RecordBatch):
        return _score(release, pa.table(table), reasons)
    if not hasattr(table, "columns") or not hasattr(table, "iloc"):
        raise DataError(f"a {type(table).__name__} is no table", "give a DataFrame or an Arrow table")
    release.scorer.check_columns([str(name) for name in table.columns])
    names = [name for name in table.columns if name in release.scorer.names]
    starts = range(0, max(len(table), 1), BATCH)
    parts = [_score(release, _from_frame(table.iloc[start : start + BATCH], names), reasons) for start in starts]
    frame = pa.concat_tables(parts).to_pandas()
    frame.index = table.index
    return frame


def score_file(
    release: Release,
    source: Path,
    target: Path,
    reasons: int = 3,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Score a Parquet or CSV file into another; returns the numbers of rows and of alerts.

    Args:
        release: what scores.
        source: ``.parquet`` (a file, or a folder of them) or ``.csv``.
        target: ``.parquet`` or ``.csv``; it is replaced only once everything is written.
        reasons: at most so many per alert.
        progress: told the rows done so far.

    Raises:
        UsageError: a path that cannot be read or written, or one file for both.
        DataError: a broken file, a missing column or one of the wrong kind.
    """
    from pyarrow import compute as pc

    for path in (source, target):
        if path.suffix not in (".csv", ".parquet"):
            raise UsageError(f"`{path}` ends in neither .csv nor .parquet", "name the file with one of the two endings")
    if source.exists() and target.exists() and target.samefile(source):
        raise UsageError(f"`{target}` is the table to score", "name another file for the scores")
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    rows = alerts = 0
    try:
        with ExitStack() as opened:
            writer = None
            for batch in _batches(release, source):
                scores = _score(release, batch, reasons)
                writer = writer or opened.enter_context(_writer(fresh, target.suffix, scores.schema))
                writer.write_table(scores)
                rows += scores.num_rows
                alerts += pc.sum(pc.equal(scores["action"], "alert")).as_py() or 0
                if progress is not None:
                    progress(rows)
        if not rows:
            raise DataError(f"`{source}` has no rows", "nothing to score")
        fresh.replace(target)
    except OSError as error:
        raise UsageError(
            f"cannot write `{target}`: {error.strerror or error}", "free space or choose another place"
        ) from None
    finally:
        fresh.unlink(missing_ok=True)
    return rows, alerts


def _writer(path: Path, ending: str, schema: pa.Schema) -> Any:
    """A writer of batches in the format the ending names."""
    from pyarrow import csv, parquet

    return csv.CSVWriter(path, schema) if ending == ".csv" else parquet.ParquetWriter(path, schema)


def _score(release: Release, table: pa.Table, reasons: int) -> pa.Table:
    """One batch."""
    import pyarrow as pa

    scorer, inputs = release.scorer, release.scorer.inputs
    if table.num_rows >= MANY:
        scorer.warm()
    read = {field.name for field in scorer.fields} | {item.field.name for item in scorer.derived}
    columns = {name: _from_arrow(name, table[name]) for name in table.column_names if name in read}
    if inputs.event_time in read and inputs.event_time not in columns and TIME_COLUMN in table.column_names:
        columns[inputs.event_time] = _from_arrow(TIME_COLUMN, table[TIME_COLUMN])
    matrix = scorer.read_columns(columns, table.num_rows)
    margins = scorer.margins(matrix)
    event = next((name for name in (inputs.event_id, ID_COLUMN) if name in table.column_names), None)
    out: dict[str, Any] = {} if event is None else {inputs.event_id or ID_COLUMN: table[event]}
    out["probability"] = pa.array(scorer.model.probabilities(margins), pa.float64())
    out["margin"] = pa.array(margins, pa.float64())
    alert = scorer.model.alerts(margins)
    out["action"] = pa.array(np.where(alert, "alert", "allow"), pa.string())
    alerts = np.flatnonzero(alert)
    found = scorer.reasons(matrix[alerts], reasons) if reasons else []
    for at in range(reasons):
        names = np.full(table.num_rows, None, dtype=object)
        names[alerts] = [row[at][0] if at < len(row) else None for row in found]
        out[f"reason_{at + 1}"] = pa.array(names, pa.string())
    return pa.table(out)


def _from_arrow(name: str, column: pa.ChunkedArray) -> Column:
    """An Arrow column as the arrays that scoring and expressions read.

    Raises:
        DataError: a nested or binary column.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), None, dtype=object)
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise DataError(f"the times of column `{name}` have no zone", "localise them first")
        return np.asarray(column.cast(pa.timestamp("us", "UTC"), safe=False).to_numpy(zero_copy_only=False))
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    ):
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
    raise DataError(f"column `{name}` of type {kind} cannot be scored", "give numbers, texts or times")


def _from_frame(frame: Any, names: list[str]) -> pa.Table:
    """The needed columns of a DataFrame, and every other that may be the event id, as Arrow.

    Raises:
        DataError: a column that mixes kinds.
    """
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame[names], preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"the table mixes kinds in one column: {str(error).splitlines()[0]}", "convert it first"
        ) from None


def _batches(release: Release, source: Path) -> Iterator[pa.Table]:
    """The file, or the Parquet files of a folder by name, in batches; only with the columns that matter."""
    import pyarrow as pa
    from pyarrow import parquet

    names = release.scorer.names
    try:
        if source.suffix == ".csv":
            ids = [name for name in (release.scorer.inputs.event_id, ID_COLUMN) if name is not None]
            fields = [*release.fields, *(item.field for item in release.scorer.derived)]
            yield from csv_batches(source, fields, ids)
            return
        for part in sorted(source.glob("*.parquet")) if source.is_dir() else [source]:
            with parquet.ParquetFile(part) as file:
                release.scorer.check_columns(file.schema_arrow.names)
                wanted = [name for name in file.schema_arrow.names if name in names]
                for batch in file.iter_batches(BATCH, columns=wanted):
                    yield pa.table(batch)
    except pa.ArrowInvalid as error:
        raise DataError(f"`{source}` cannot be read: {str(error).splitlines()[0]}", "is the file whole?") from None
    except OSError as error:
        raise UsageError(f"cannot read `{source}`: {error.strerror or error}") from None
