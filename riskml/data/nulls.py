"""The words that mean null in a CSV file: one list for the tables a model learns from and those it scores.

"None" may be a word everywhere; "NA" is one wherever texts stand, and null among numbers.
"""

from __future__ import annotations

__all__ = ["NULL_AMONG_NUMBERS", "NULL_WORDS"]

NULL_WORDS = ("", "NaN", "nan", "NULL", "null", "<NA>", "N/A", "#N/A")
NULL_AMONG_NUMBERS = "NA"
