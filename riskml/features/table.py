"""The feature table: one row per event, one column per feature, with the plan that made it.

Numbers are float32 with NaN for null, categories objects with None. Written to and read from Parquet; a file whose
plan does not match its columns, or that is no feature table, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError
from riskml.features.plan import ID_COLUMN, TIME_COLUMN, FeaturePlan

_PLAN, _DIGEST, _KINDS = b"riskml.plan", b"riskml.plan_digest", b"riskml.kinds"


@dataclass(frozen=True)
class FeatureTable:
    """Features by event.

    Args:
        frame: row i is event row i; columns are ``plan.names`` in order.
        kinds: "number" (float32) or "category" (text or None) for each column.
        ids: the events' ids [n].
        time: the events' times, int64 microseconds UTC [n].
        plan: what was computed.
    """

    frame: pd.DataFrame
    kinds: Mapping[str, str]
    ids: npt.NDArray[Any]
    time: npt.NDArray[np.int64]
    plan: FeaturePlan

    @staticmethod
    def build(
        columns: Mapping[str, npt.NDArray[Any]], plan: FeaturePlan, ids: npt.NDArray[Any], time: npt.NDArray[np.int64]
    ) -> FeatureTable:
        """A table of computed columns; objects are categories."""
        kinds = {name: "category" if columns[name].dtype == object else "number" for name in plan.names}
        frame = _frame({name: columns[name] for name in plan.names}, kinds, len(time))
        return FeatureTable(frame, kinds, ids, time, plan)

    def write(self, path: Path) -> None:
        """Write Parquet, with the plan and its digest in the file's metadata."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {ID_COLUMN: pa.array(self.ids, from_pandas=True), TIME_COLUMN: pa.array(self.time)}
        for name, kind in self.kinds.items():
            values = self.frame[name].to_numpy()
            columns[name] = pa.array(values, pa.string() if kind == "category" else pa.float32(), from_pandas=True)
        metadata = {
            _PLAN: self.plan.to_json().encode(),
            _DIGEST: self.plan.digest.encode(),
            _KINDS: json.dumps(dict(self.kinds), sort_keys=True).encode(),
        }
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, compression="zstd")

    @staticmethod
    def read(path: Path) -> FeatureTable:
        """Read what ``write`` wrote.

        Raises:
            DataError: the file is missing, damaged, or no feature table.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"cannot read the feature table {path}: {error}", "run `riskml features` again") from None
        metadata = table.schema.metadata or {}
        if _PLAN not in metadata or _KINDS not in metadata:
            raise DataError(f"{path} is no feature table", "run `riskml features` again")
        plan = FeaturePlan.from_json(metadata[_PLAN].decode())
        kinds = json.loads(metadata[_KINDS])
        if plan.digest.encode() != metadata.get(_DIGEST) or table.column_names != [ID_COLUMN, TIME_COLUMN, *plan.names]:
            raise DataError(f"the columns of {path} are not those of its plan", "run `riskml features` again")
        columns = {name: table.column(name).to_numpy() for name in plan.names}
        ids, time = table.column(ID_COLUMN).to_numpy(), table.column(TIME_COLUMN).to_numpy()
        frame = _frame(columns, kinds, len(time))
        return FeatureTable(frame, {name: kinds[name] for name in plan.names}, ids, time, plan)


def _frame(columns: Mapping[str, npt.NDArray[Any]], kinds: Mapping[str, str], rows: int) -> pd.DataFrame:
    """Columns as a frame; categories stay plain objects whatever pandas would infer."""
    series = {
        name: pd.Series(values, dtype=object if kinds[name] == "category" else np.float32, copy=False)
        for name, values in columns.items()
    }
    return pd.DataFrame(series, index=pd.RangeIndex(rows), copy=False)
