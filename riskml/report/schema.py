"""The published schema of a backtest's facts: what ``verdict.json`` holds, field by field.

Nothing goes in; out comes the JSON Schema (draft 2020-12) that ships beside this file. riskml itself never validates
with it: it is there for programs that read verdicts.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["FILE", "verdict_schema"]

FILE = "verdict.schema.json"


def verdict_schema() -> dict[str, Any]:
    """The schema as a mapping."""
    text = (resources.files("riskml.report") / FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))
