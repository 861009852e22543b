"""A reference table of a recipe in, its rows out: facts about a key, each in force from an instant on, or always.

Rows without a key say nothing and are dropped and counted, like exact copies. Refuses missing files and columns, null
instants, and two rows that contradict each other: one key, one instant, other values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from riskml.data.clock import NEVER, Micros, to_micros
from riskml.data.fingerprint import fingerprint
from riskml.data.storage import read_frame, require_columns
from riskml.errors import DataError
from riskml.recipe.spec import Reference


@dataclass(frozen=True)
class ReferenceTable:
    """The facts of one reference table, one row each, in file order.

    ``frame`` holds the declared columns only; ``since`` is int64[n] microseconds UTC from which a row is in force, None
    where the table has no such column. ``duplicates`` and ``without_key`` count the rows that were dropped.
    """

    name: str
    spec: Reference
    frame: pd.DataFrame
    since: Micros | None
    fingerprint: str
    duplicates: int
    without_key: int


def read_reference(spec: Reference) -> ReferenceTable:
    """Read one reference table.

    Raises:
        UsageError: the file or an environment variable is missing.
        DataError: a declared column is missing, an instant is null, or rows contradict each other.
    """
    when = spec.valid_from
    frame = read_frame(spec.path, query=spec.query, exact=[spec.key], times=[when] if when else [])
    columns = {spec.key: "key"} | ({when: "valid_from"} if when else {})
    for name in spec.columns:
        columns.setdefault(name, "columns")
    require_columns(frame, columns, f"[tables.{spec.name}]", spec.path)
    keyed = frame[spec.key].notna()
    frame = frame.loc[keyed, list(columns)].reset_index(drop=True)
    since = None if when is None else _instants(frame, spec, when)
    copies = _shown(frame, since, when).duplicated().to_numpy()
    frame = frame[~copies].reset_index(drop=True)
    since = None if since is None else since[~copies]
    _refuse_contradictions(frame, since, spec)
    return ReferenceTable(
        name=spec.name,
        spec=spec,
        frame=frame,
        since=since,
        fingerprint=fingerprint(frame),
        duplicates=int(copies.sum()),
        without_key=int((~keyed).sum()),
    )


def _instants(frame: pd.DataFrame, spec: Reference, when: str) -> Micros:
    since = to_micros(frame[when], spec.timezone, f"tables.{spec.name}")
    lost = np.flatnonzero(since == NEVER)
    if len(lost):
        message = f"`{when}` of tables.{spec.name} is null in {len(lost):,} rows"
        raise DataError(message, "every fact needs the instant from which it holds; an early one means always")
    return since


def _shown(frame: pd.DataFrame, since: Micros | None, when: str | None) -> pd.DataFrame:
    """The frame with its instants as one kind of number, so that two ways to write one instant are equal."""
    return frame if since is None or when is None else frame.assign(**{when: since})


def _refuse_contradictions(frame: pd.DataFrame, since: Micros | None, spec: Reference) -> None:
    """One key has one row, or one row per instant."""
    held = pd.DataFrame({"key": frame[spec.key]} | ({} if since is None else {"since": since}))
    twice = held.duplicated()
    if twice.any():
        keys = frame[spec.key][twice].nunique()
        if since is None:
            message = f"tables.{spec.name} has rows that differ for one `{spec.key}`: {keys:,} such keys"
            raise DataError(message, "name the column that says from when each row holds as `valid_from`")
        message = f"tables.{spec.name} contradicts itself: rows of {keys:,} keys differ at one `{spec.valid_from}`"
        raise DataError(message, "keep one row per key and instant; exact copies are dropped for you")
