"""``riskml rule suggest``: candidate temporary rules, found on earlier days and shown on later ones.

``suggest`` is the one way in; what goes in, what comes out and what is refused stands in ``suggest.propose``.
"""

from riskml.evidence.suggest.propose import Ask, Candidate, Suggestion, suggest

__all__ = ["Ask", "Candidate", "Suggestion", "suggest"]
