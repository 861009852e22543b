"""A CSV file in, Arrow batches out, with the values that the tables of a recipe would have: the same words mean null.

Numbers are trimmed and may be true or false; "NA" among them is null, elsewhere it is a word. Ids keep every character.
A column that only derived features read holds numbers if all of its values are numbers, which takes one pass over the
file; entities with leading zeros or letters stay texts. Memory is bounded. Refuses a text where a number belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskml.data.nulls import NULL_AMONG_NUMBERS, NULL_WORDS
from riskml.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from riskml.release.inputs import Field

__all__ = ["csv_batches"]

_WHOLE = r"^(0|[1-9]\d{0,17})$"  # an identifier that is a number: no leading zero, sign or letter
_TRUE, _FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")


def csv_batches(source: Path, fields: Sequence[Field], ids: Sequence[str]) -> Iterator[pa.Table]:
    """The file in batches, its columns read as the fields say; ``ids`` are columns kept as texts.

    Raises:
        DataError: a text stands where a number belongs.
        pyarrow.ArrowInvalid: the file is no CSV.
    """
    import pyarrow as pa

    kinds = dict.fromkeys(ids, "text")
    loose = [field for field in fields if field.role == "context" and field.kind == "any" and field.name not in kinds]
    kinds |= {f.name: "number" if f.kind == "number" else "text" for f in fields if f.role != "context"}
    kinds |= _kinds_of(source, loose)
    for batch in _read(source, list(kinds)):
        table = pa.table(batch)
        for at, name in enumerate(table.column_names):
            if kinds.get(name) == "number":
                table = table.set_column(at, name, _numbers(name, table[name]))
        yield table


def _read(source: Path, texts: Sequence[str], only: Sequence[str] = ()) -> Iterator[Any]:
    """Batches of all columns, or of ``only`` those that are there; ``texts`` are read as texts."""
    import pyarrow as pa
    from pyarrow import csv

    options = csv.ConvertOptions(
        column_types=dict.fromkeys(texts, pa.string()),
        null_values=list(NULL_WORDS),
        strings_can_be_null=True,
        include_columns=list(only) or None,
        include_missing_columns=bool(only),
    )
    with csv.open_csv(source, convert_options=options) as reader:
        yield from reader


def _kinds_of(source: Path, loose: Sequence[Field]) -> dict[str, str]:
    """Columns whose values are all numbers, and entities that are not; others, such as times, are left to Arrow."""
    if not loose:
        return {}
    import pyarrow as pa

    names = [field.name for field in loose]
    numeric, known = dict.fromkeys(names, True), dict.fromkeys(names, False)
    tests: dict[str, Callable[[Any], bool]] = {f.name: _all_whole if f.nulls else _all_numbers for f in loose}
    for batch in _read(source, names, names):
        for name, column in zip(names, pa.table(batch).columns, strict=True):
            numeric[name] = numeric[name] and tests[name](column)
            known[name] = known[name] or column.null_count < len(column)
    found = {name: "number" for name in names if numeric[name] and known[name]}
    return found | {field.name: "text" for field in loose if field.nulls and field.name not in found}


def _all_whole(column: pa.ChunkedArray) -> bool:
    from pyarrow import compute as pc

    return bool(pc.all(pc.match_substring_regex(column, _WHOLE), min_count=0).as_py())


def _all_numbers(column: pa.ChunkedArray) -> bool:
    try:
        _numbers("", column)
    except DataError:
        return False
    return True


def _numbers(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as float64."""
    import pyarrow as pa
    from pyarrow import compute as pc

    text = pc.utf8_trim_whitespace(column)
    for words, number in ((_TRUE, "1"), (_FALSE, "0"), ((NULL_AMONG_NUMBERS,), None)):
        text = pc.if_else(pc.is_in(text, pa.array(words)), pa.scalar(number, pa.string()), text)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid as error:
        message = f"column `{name}` should hold numbers: {str(error).splitlines()[0]}"
        raise DataError(message, "write plain numbers with a decimal point") from None
