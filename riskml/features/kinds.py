"""The aggregates and measures that a plan may name, in kinds; names only, so that a deployed engine needs no more.

How their texts are read and features named is the business of ``riskml.features.naming``. Nothing goes in or out.
"""

from __future__ import annotations

PLAIN = ("count", "since_first", "since_last", "is_new", "rate", "outcome_k")  # of rows
OF_NUMBERS = ("sum", "mean", "std", "min", "max", "first", "last", "last_k", "trend")  # of one numeric column
OF_VALUES = ("distinct", "entropy", "share_of_top")  # of one column of any kind
EITHER = ("decay",)  # of rows, or of one numeric column
AGGREGATES = PLAIN + OF_NUMBERS + OF_VALUES + EITHER
OF_LABELS = ("rate", "outcome_k")  # of outcomes known at the time
MEASURES = ("size", "age", "known_bad", "growth", "hops_to_known_bad", "bad_share", "passed", "passing_time")
FLOWS = ("passed", "passing_time")  # of payments in a window; the other measures are of components
BY_ORDER = ("first", "last", "last_k")  # of rows in their order
