"""The public Handbook data, no part of the repository: where tests look for it, and how they skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HANDBOOK = Path(os.environ.get("RISKML_DATA", ROOT.parent / "shared" / "data")) / "fdh_raw.parquet"

needs_handbook = pytest.mark.skipif(
    not HANDBOOK.is_file(), reason=f"the Handbook data is not at {HANDBOOK}; set RISKML_DATA to its folder"
)
