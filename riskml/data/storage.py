"""A path, glob or database URL in, one DataFrame with plain columns out; refuses what cannot be read, and says why.

Columns come out alike whatever the file and the pandas version: numbers as NumPy numbers, texts as objects with None
for null, times as timestamps. Numbers with nulls are float64, except where ``exact`` names a column: those keep whole
numbers as Int64 and leading zeros as text. Passwords of URLs appear nowhere.
"""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from riskml.data.nulls import NULL_AMONG_NUMBERS, NULL_WORDS
from riskml.errors import DataError, UsageError, near_matches

_SEPARATORS = {";": "a semicolon", "\t": "a tab", "|": "a bar", ",": "a comma"}
_RELATIVE = "paths in a recipe are relative to it; give another file as in --set events.path=FILE"
_TABLE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")


def read_frame(
    path: str, *, query: str | None = None, exact: Collection[str] = (), times: Collection[str] = ()
) -> pd.DataFrame:
    """All rows of a file, a glob, a folder of Parquet files or a query, in file order with a fresh index.

    Args:
        path: Parquet or CSV, or a database URL (``${NAME}`` is taken from the environment).
        query: SQL or the name of a table; for URLs only.
        exact: identifier columns, kept exactly.
        times: columns that hold times, kept as text in CSV until they are parsed.

    Raises:
        UsageError: nothing is there, it may not be read, or the environment lacks a variable.
        DataError: it cannot be understood, or holds no rows.
    """
    if is_url(path):
        frame = _read_database(path, query)
    else:
        files = find_files(path)
        frames = [_read_file(file, exact, times) for file in files]
        frame = frames[0] if len(frames) == 1 else _join(files, frames)
    _refuse_twins(frame.columns, name_of(path))
    if frame.empty:
        raise DataError(f"`{name_of(path)}` holds no rows", "check the export, or the query")
    return pd.DataFrame({str(name): plain(frame[name], str(name) in exact) for name in frame.columns})


def is_url(path: str) -> bool:
    """Whether a recipe's path is a database URL."""
    return "://" in path


def name_of(path: str) -> str:
    """What messages call a path: the URL without its password, or the path itself."""
    if not is_url(path):
        return path
    scheme, _, rest = path.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def find_files(path: str) -> list[Path]:
    """The files a path or glob stands for, sorted by name.

    Raises:
        UsageError: there is none; the hint names a near match in the same folder.
    """
    place = Path(path)
    if place.is_dir():
        found = sorted(place.rglob("*.parquet"))
        if not found:
            raise UsageError(f"the folder `{path}` holds no Parquet files", "name a file, or a glob such as data/*.csv")
        return found
    if place.exists():
        return [place]
    if glob.has_magic(path):
        matched = sorted(Path(name) for name in glob.glob(path, recursive=True))  # noqa: PTH207
        if matched:
            return matched
        raise UsageError(f"no file matches `{path}`", _RELATIVE)
    beside = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = near_matches(place.name, beside) or _RELATIVE
    raise UsageError(f"there is no file `{path}`", hint)


def require_columns(frame: pd.DataFrame, columns: Mapping[str, str], section: str, path: str) -> None:
    """Refuse declared columns that the frame lacks, all at once.

    Args:
        columns: each column with the key that declares it.
        section: the recipe's table, such as ``[events]``.
        path: where the frame was read.

    Raises:
        DataError: a column is missing; the hint names near matches.
    """
    absent = [name for name in columns if name not in frame.columns]
    if not absent:
        return
    said = ", ".join(f"`{name}` ({columns[name]})" for name in absent)
    hints = [near_matches(name, frame.columns) for name in absent]
    if len(absent) > 1:
        hints = [f"{name}: {hint}" for name, hint in zip(absent, hints, strict=True) if hint]
    plural = "columns" if len(absent) > 1 else "column"
    hint = "; ".join(hint for hint in hints if hint) or f"the file has {', '.join(map(str, frame.columns[:20]))}"
    raise DataError(f"{section}: {plural} {said} missing from `{name_of(path)}`", hint)


def _join(files: Sequence[Path], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    for file, frame in zip(files, frames, strict=True):
        if set(frame.columns) != set(frames[0].columns):
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))[0]
            raise DataError(
                f"`{file}` and `{files[0]}` differ in column `{odd}`", "files of one glob need equal columns"
            )
    return pd.concat([frame[list(frames[0].columns)] for frame in frames], ignore_index=True)


def _read_file(file: Path, exact: Collection[str], times: Collection[str]) -> pd.DataFrame:
    suffixes = file.name.lower().split(".")[1:]
    try:
        if is_parquet(file):
            frame = from_arrow(pq.ParquetFile(file).read(), exact)
            _refuse_twins(frame.columns, str(file))
            return frame
        if "csv" in suffixes or "tsv" in suffixes or "txt" in suffixes:
            return _read_csv(file, "\t" if "tsv" in suffixes else ",", exact, times)
    except PermissionError as error:
        raise UsageError(f"`{file}` may not be read", "check its permissions") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        hint = "the file may be truncated or of another format; copy it again"
        raise DataError(f"`{file}` cannot be read as Parquet: {_first_line(error)}", hint) from error
    except pd.errors.EmptyDataError as error:
        hint = "CSV files need one header line; check the export"
        raise DataError(f"`{file}` cannot be read as CSV: it is empty", hint) from error
    except UnicodeError as error:
        reason, hint = _other_encoding(file)
        raise DataError(f"`{file}` cannot be read as CSV: {reason}", hint) from error
    except pd.errors.ParserWarning as error:
        hint = "quote values that contain the separator, such as decimal commas"
        raise DataError(
            f"`{file}` cannot be read as CSV: rows hold more values than the header has names", hint
        ) from error
    except pd.errors.ParserError as error:
        hint = "CSV files need one header line, commas and UTF-8"
        raise DataError(f"`{file}` cannot be read as CSV: {_first_line(error)}", hint) from error
    except OSError as error:
        raise DataError(f"`{file}` cannot be read: {_first_line(error)}", "the file may be truncated") from error
    raise UsageError(f"`{file}` is neither Parquet nor CSV", "name the file *.parquet or *.csv")


def _refuse_twins(names: pd.Index[Any] | Sequence[str], where: str) -> None:
    index = pd.Index(names)
    if index.has_duplicates:
        raise DataError(f"`{where}` has two columns `{index[index.duplicated()][0]}`", "rename one of them")


def _other_encoding(file: Path) -> tuple[str, str]:
    """The likely encoding of a CSV file that is not UTF-8, and how to convert it."""
    with file.open("rb") as stream:
        start = stream.read(2)
    known = "UTF-16" if start in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
    likely = "UTF-16" if known == "UTF-16" else "Windows-1252 or Latin-1"
    return (
        f"its encoding is not UTF-8 but likely {likely}",
        f"save it as UTF-8, or convert it: iconv -f {known} -t UTF-8 OLD.csv > NEW.csv",
    )


def is_parquet(file: Path) -> bool:
    """Whether the file is Parquet by its name or, with another name, by its first bytes."""
    suffixes = file.name.lower().split(".")[1:]
    if "parquet" in suffixes or "pq" in suffixes:
        return True
    with file.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def from_arrow(table: pa.Table, exact: Collection[str]) -> pd.DataFrame:
    """An Arrow table as a frame; whole numbers with nulls stay whole where they are identifiers."""
    columns: list[pd.Series[Any]] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            series = pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
        elif pa.types.is_integer(kind) and column.null_count and name in exact:
            series = column.to_pandas(types_mapper=lambda _: pd.Int64Dtype())
        elif pa.types.is_boolean(kind) and column.null_count:
            series = column.cast(pa.int8()).to_pandas()
        elif pa.types.is_decimal(kind):
            series = column.cast(pa.float64()).to_pandas()
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            joined = [None if v is None else ",".join(map(str, v)) for v in column.to_pylist()]
            series = pd.Series(joined, dtype=object)
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_time(kind):
            series = pd.Series([None if v is None else str(v) for v in column.to_pylist()], dtype=object)
        else:
            series = column.to_pandas()
        columns.append(series)
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    frame.columns = pd.Index(table.column_names, dtype=object)
    return frame


def _read_csv(file: Path, separator: str, exact: Collection[str], times: Collection[str]) -> pd.DataFrame:
    _check_header(file, separator)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # values beyond the header would be dropped
        frame = pd.read_csv(
            file,
            sep=separator,
            index_col=False,
            dtype=dict.fromkeys((*exact, *times), str),
            keep_default_na=False,
            na_values=list(NULL_WORDS),
            low_memory=False,
        )
    for name in frame.columns:
        if name in exact:
            frame[name] = _whole_if_canonical(frame[name])
        elif name not in times and pd.api.types.is_string_dtype(frame[name].dtype):
            frame[name] = _number_if_all(frame[name])
    return frame


def _check_header(file: Path, separator: str) -> None:
    """Refuse a header with one name twice, which pandas would rename, or with another separator."""
    line = pd.read_csv(file, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = [str(name) for name in line.iloc[0] if str(name)]
    _refuse_twins(names, str(file))
    expected = {",": "a comma", "\t": "a tab"}[separator]
    for other, word in _SEPARATORS.items():
        if len(names) == 1 and other != separator and other in names[0]:
            reason = f"its columns look separated by {word}, not {expected}"
            hint = f"save it with {expected} between columns and points in decimals"
            raise DataError(f"`{file}` cannot be read as CSV: {reason}", hint)


def _whole_if_canonical(series: pd.Series[Any]) -> pd.Series[Any]:
    """Identifiers as whole numbers, unless one has a leading zero, a sign or letters."""
    known = series.dropna().astype(str)
    if len(known) and known.str.fullmatch(r"0|[1-9]\d{0,17}").all():
        return series.astype("Int64")
    return series


def _number_if_all(series: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers, where "NA" is the only word among them."""
    words = series.dropna()
    if not len(words) or not (words == NULL_AMONG_NUMBERS).any():
        return series
    numbers = pd.to_numeric(words[words != NULL_AMONG_NUMBERS], errors="coerce")
    return numbers.reindex(series.index) if len(numbers) and numbers.notna().all() else series


def _read_database(url: str, query: str | None) -> pd.DataFrame:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    if not query:
        raise UsageError(f"`{name_of(url)}` needs a query", 'add query = "SELECT …" or the name of a table')
    full, secrets = expand(url)
    try:
        parsed = sqlalchemy.make_url(full)
        engine = sqlalchemy.create_engine(parsed)
    except (SQLAlchemyError, ImportError) as error:
        hint = "install the database's driver, or check the URL" if isinstance(error, ImportError) else "check the URL"
        raise UsageError(f"`{name_of(url)}` cannot be opened: {type(error).__name__}", hint) from None
    try:
        with engine.connect() as connection:
            return pd.read_sql_query(_select(query), connection)
    except (SQLAlchemyError, pd.errors.DatabaseError) as error:
        reason = _first_line(getattr(error, "orig", None) or error)
        for secret in (*secrets, *([str(parsed.password)] if parsed.password else [])):
            reason = reason.replace(secret, "***")
        raise DataError(f"`{name_of(url)}` refused the query: {reason}", "check the query and the URL") from None
    finally:
        engine.dispose()


def _select(query: str) -> str:
    if not _TABLE_NAME.fullmatch(query.strip()):
        return query
    return "SELECT * FROM " + ".".join(f'"{part}"' for part in query.strip().split("."))


def expand(url: str) -> tuple[str, list[str]]:
    """The URL with each ``${NAME}`` taken from the environment, and what was put in."""
    secrets: list[str] = []

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            hint = near_matches(name, os.environ) or f"set {name} before running riskml"
            raise UsageError(f"the environment has no variable `{name}`, which a database URL needs", hint)
        secrets.append(os.environ[name])
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", value, url), [secret for secret in secrets if secret]


def plain(series: pd.Series[Any], exact: bool = False) -> pd.Series[Any]:
    """A column in riskml's own form, whatever pandas made of it; see the module's first lines."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        series = series.astype(object)
    elif pd.api.types.is_datetime64_any_dtype(dtype) or (isinstance(dtype, np.dtype) and dtype.kind in "iufbm"):
        return series.reset_index(drop=True)
    elif pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_float_dtype(dtype):
        return series.astype("float64").reset_index(drop=True)
    elif pd.api.types.is_integer_dtype(dtype):
        if not series.isna().any():
            return series.astype("int64").reset_index(drop=True)
        return (series if exact else series.astype("float64")).reset_index(drop=True)
    return _plain_objects(series.reset_index(drop=True), exact)


def _plain_objects(series: pd.Series[Any], exact: bool) -> pd.Series[Any]:
    null = series.isna().to_numpy(dtype=bool)
    values = np.array(series.to_numpy(dtype=object), dtype=object)
    values[null] = None
    kinds = {type(value) for value in values[~null].tolist()}
    if not kinds or kinds == {str}:
        return pd.Series(values, dtype=object, name=series.name)
    if kinds <= {bool, int, float, Decimal, np.bool_, np.int64, np.float64}:
        if exact and kinds == {int}:
            return pd.Series(pd.array(values.tolist(), dtype="Int64"), name=series.name)
        return pd.Series([np.nan if v is None else float(v) for v in values], name=series.name)
    if all(hasattr(kind, "year") for kind in kinds):
        return pd.Series(pd.to_datetime(pd.Series(values), errors="coerce"), name=series.name)
    return pd.Series([None if v is None else str(v) for v in values], dtype=object, name=series.name)
