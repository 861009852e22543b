"""Columns of the events that no feature may read when the event happens: in goes a recipe, out come names and reasons.

Reasons continue the sentence "`column` …". No data is read.
"""

from __future__ import annotations

from riskml.recipe.spec import Recipe

RULE_COLUMNS = ("fired", "release_chance", "action", "decided_by", "bypass")


def forbidden_columns(recipe: Recipe) -> dict[str, str]:
    """Columns that do not exist yet when the event happens, or that stand for it or for the rule's answer."""
    events, rule = recipe.events, recipe.rule
    found = dict.fromkeys(events.later, "is overwritten after the event (events.later)")
    for name in events.later.values():
        found.setdefault(name, "is written after the event (events.later)")
    if events.id:
        found.setdefault(events.id, "is the event's identifier")
    found |= outcome_columns(recipe)
    for key in RULE_COLUMNS if rule else ():
        name = getattr(rule, key)
        if name:
            found[name] = f"belongs to the rule (rule.{key})"
    return found


def outcome_columns(recipe: Recipe) -> dict[str, str]:
    """Columns of the events that hold the outcome itself, where the labels have no table of their own."""
    labels = recipe.labels
    if labels.path is not None:
        return {}
    found = {}
    for key in ("known_at", "source", "threat", "label"):
        name = getattr(labels, key)
        if name:
            found[name] = "is the label" if key == "label" else f"belongs to the label (labels.{key})"
    return found
