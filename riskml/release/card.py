"""The model card of a release: what it is for, what it was judged on and how to use it, as Markdown.

Only facts that are in the release already are repeated; nothing of the data but its fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from riskml.release.inputs import Inputs
from riskml.release.manifest import Manifest, Stage
from riskml.release.verdict import word_of

if TYPE_CHECKING:
    from riskml.learning.model import Model

__all__ = ["model_card"]

_MEANS: Mapping[Stage, str] = {
    "shadow": "It may score and be logged. It must not act: no verdict allows more.",
    "add": "It may raise alerts beside the rule. It must not replace the rule.",
    "replace": "It may replace the rule.",
}


def model_card(manifest: Manifest, model: Model, inputs: Inputs, verdict: Mapping[str, object]) -> str:
    """The card; the same release gives the same text."""
    lines = [f"# {manifest.name} {manifest.version}", ""]
    lines += [f"A model of the threat `{manifest.threat}`. Stage: **{manifest.stage}**. {_MEANS[manifest.stage]}", ""]
    if manifest.override is not None:
        lines += [
            f"**Overridden:** the verdicts allow `{manifest.override.allowed}`. Reason given:"
            f" {_plain(manifest.override.reason)}",
            "",
        ]
    lines += ["## Verdict against the rule", ""]
    headline = verdict.get("headline")
    if isinstance(headline, str):
        lines += [_plain(headline), ""]
    lines += [f"- {question.upper()}: {word_of(verdict, question)}" for question in ("add", "replace")]
    lines += ["", "The numbers behind it are in `verdict.json`.", "", "## Decision", ""]
    lines += [
        f"The mean raw margin of {len(model.boosters)} LightGBM model(s) is compared with the frozen threshold"
        f" {model.threshold!r}: at or above it the action is `alert`, else `allow`. The probability is calibrated"
        f" ({model.calibrator.kind}) on {model.calibrator.rows} later events with {model.calibrator.frauds} frauds"
        + _unreported(model)
        + ".",
        "",
        "## Inputs",
        "",
        f"{len(model.schema.names)} features; `schema.json` lists every field. A missing field, null, NaN and infinity"
        " all mean unknown; an unseen category is unknown; other fields are ignored; a text where a number belongs is"
        " refused.",
        "",
    ]
    lines += [f"- `{field.name}`: {field.kind}" for field in inputs.fields if field.role == "input"]
    lines += ["", "## Made from", ""]
    lines += [f"- {name}: `{value}`" for name, value in sorted(manifest.lineage.items())]
    lines += [f"- {name} {value}" for name, value in sorted(manifest.versions.items())]
    lines += ["", "The release holds no rows of the data. Its golden vectors are synthesised.", ""]
    return "\n".join(lines)


def _unreported(model: Model) -> str:
    """What was assumed of frauds nobody reports."""
    share = model.calibrator.reported
    return "" if share == 1 else f", and divided by {share:g}, the share of frauds taken to be reported"


def _plain(text: str) -> str:
    """One line without Markdown links or HTML."""
    return " ".join(text.split()).replace("<", "&lt;").replace("[", "\\[")
