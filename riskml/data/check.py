"""A recipe, its tables and its plan in, a report out: every breach of the contract, every oddity, and the facts behind.

All findings come at once. A breach means no later stage may run; a warning may change the verdict; a note is good to
know. Facts are counts, shares and dates, and hold no customer's row. Refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from riskml.data.contract import check_contract
from riskml.data.findings import LEVELS, Fact, Facts, Finding, Part, instant
from riskml.data.incumbency import check_rule
from riskml.data.leaks import check_columns
from riskml.data.outcomes import check_labels
from riskml.data.references import ReferenceTable
from riskml.data.streams import check_stream
from riskml.data.tables import Tables
from riskml.recipe.spec import Recipe

if TYPE_CHECKING:
    from riskml.features.plan import FeaturePlan

__all__ = ["SCHEMA", "CheckReport", "Finding", "check"]

SCHEMA = "riskml.check/1"


@dataclass(frozen=True)
class CheckReport:
    """Findings, worst first, and the facts they rest on."""

    findings: tuple[Finding, ...]
    facts: Mapping[str, Fact]

    @property
    def ok(self) -> bool:
        """Whether there is no breach."""
        return all(finding.level != "breach" for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "facts": dict(self.facts),
        }


def check(recipe: Recipe, tables: Tables, plan: FeaturePlan, proof: Part | None = None) -> CheckReport:
    """Hold the tables against the recipe's contract.

    Args:
        proof: what ``riskml.features.linter`` found in the plan; it becomes the fact "proof".
    """
    findings: list[Finding] = [*proof.findings] if proof else []
    events = check_stream(tables.events, tables.as_of)
    findings += events.findings
    facts: Facts = {
        "rows": len(tables.events.frame),
        "as_of": instant(tables.as_of),
        "fingerprint": tables.fingerprint,
        "events": events.facts,
    }
    sources: Facts = {}
    for name, table in tables.sources.items():
        part = check_stream(table, tables.as_of)
        findings += part.findings
        sources[name] = part.facts
    facts["sources"] = sources
    facts["tables"] = {name: _reference(table, findings) for name, table in tables.references.items()}
    labels = check_labels(recipe, tables)
    findings += labels.findings
    facts["labels"] = labels.facts
    if recipe.rule is not None:
        rule = check_rule(recipe.rule, tables)
        findings += rule.findings
        facts["rule"] = rule.facts
        findings += check_contract(recipe, tables, plan.names).findings
    columns = check_columns(recipe, tables, plan)
    findings += columns.findings
    facts["columns"] = columns.facts
    if proof is not None:
        facts["proof"] = proof.facts
    unique = dict.fromkeys(findings)
    return CheckReport(tuple(sorted(unique, key=lambda finding: LEVELS.index(finding.level))), facts)


def _reference(table: ReferenceTable, found: list[Finding]) -> Facts:
    """Rows of a reference table, and what was dropped."""
    name = f"tables.{table.name}"
    if table.without_key and not len(table.frame):
        hint = "name the column that holds the key, or leave the table out"
        found.append(Finding("breach", "null keys", f"{name}: the key `{table.spec.key}` is null in every row", hint))
    elif table.without_key:
        found.append(Finding("note", "null keys", f"{name}: {table.without_key:,} rows without a key were dropped"))
    if table.duplicates:
        found.append(Finding("note", "duplicates", f"{name}: {table.duplicates:,} exact copies of rows were dropped"))
    return {
        "rows": len(table.frame),
        "keys": int(table.frame[table.spec.key].nunique()),
        "timed": table.since is not None,
        "duplicates": table.duplicates,
        "without_key": table.without_key,
        "fingerprint": table.fingerprint,
    }
