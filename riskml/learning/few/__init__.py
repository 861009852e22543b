"""Models from a handful of frauds: what is known before the first label, and how far the labels may move it."""

from riskml.learning.few.few import Few, day_one, few_labels, too_few
from riskml.learning.few.support import FEW, LEAST

__all__ = ["FEW", "LEAST", "Few", "day_one", "few_labels", "too_few"]
