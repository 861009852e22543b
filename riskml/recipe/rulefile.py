"""A rule in a file of its own: TOML with ``[[rule.version]]`` entries, or plain text with one expression.

In goes a path, out comes a frozen ``RuleFile``. A name that ends in ``.toml`` is read as TOML, anything else as text,
where lines that begin with ``#`` are comments. Refused, with every problem at once: anything but a rule, no version,
and expressions outside the recipe's language. Columns are checked later, where the data is.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskml.errors import ExpressionError, RecipeError, UsageError, near_matches
from riskml.expression import parse
from riskml.recipe.build import Problems, build
from riskml.recipe.spec import RuleVersion

__all__ = ["RuleFile", "read_rule"]

_MOST = 64 * 1024  # bytes; a rule a person answers for is shorter
_HINT = 'write [[rule.version]] tables with when = "…" and, if it began at some instant, from = …'


@dataclass(frozen=True)
class RuleFile:
    """A rule by its text: ``name`` for people (the file's, unless it gives one) and its versions as written."""

    name: str
    versions: tuple[RuleVersion, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of what the rule says, whatever it is called."""
        body = [{"when": version.when, "from": version.since} for version in self.versions]
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def read_rule(path: Path | str) -> RuleFile:
    """The rule in a file.

    Raises:
        UsageError: the file cannot be read.
        RecipeError: everything wrong in it.
    """
    file = Path(path)
    text, problems = _text(file), Problems(file.name)
    found = _from_toml(file, text, problems) if file.suffix.lower() == ".toml" else _from_text(file, text)
    for index, version in enumerate(found.versions):
        try:
            parse(version.when)
        except ExpressionError as error:
            key = f"rule.version[{index}].when" if file.suffix.lower() == ".toml" else ""
            problems.add(
                key, error.message, error.hint or "a rule is one expression, such as amount > 500 and country != 'NL'"
            )
    if not found.versions and not problems.found:
        problems.add("", "holds no rule", _HINT)
    if problems.found:
        raise RecipeError(problems.found)
    return found


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MOST + 1)
    except OSError as error:
        folder = file.parent if file.parent.is_dir() else Path()
        missing = isinstance(error, FileNotFoundError)
        near = near_matches(file.name, [p.name for p in folder.iterdir()]) if missing else ""
        message = f"no rule at {file}" if missing else f"cannot read {file}: {error.strerror}"
        raise UsageError(message, near or "give a TOML file or a text file that holds one expression") from None
    if len(raw) > _MOST:
        raise UsageError(f"{file} is too long for a rule", f"a rule file holds at most {_MOST >> 10} KiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not a text file", "a rule is TOML or one expression, in UTF-8") from None


def _from_text(file: Path, text: str) -> RuleFile:
    """One expression, in force always."""
    kept = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    when = " ".join(line for line in kept if line)
    return RuleFile(file.stem, (RuleVersion(when),) if when else ())


def _from_toml(file: Path, text: str, problems: Problems) -> RuleFile:
    try:
        body: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.add("", f"is not valid TOML: {error}", "end the name in .txt if it holds one expression")
        return RuleFile(file.stem, ())
    for key in body:
        if key != "rule":
            problems.add(key, "does not belong in a rule file", _HINT)
    rule = body.get("rule", {})
    if not isinstance(rule, Mapping):
        problems.add("rule", "must be a table", _HINT)
        return RuleFile(file.stem, ())
    for key in rule:
        if key not in ("name", "version"):
            hint = near_matches(key, ("name", "version")) or "columns of the log stay in the recipe"
            problems.add(f"rule.{key}", "does not belong in a rule file", hint)
    name, listed = rule.get("name", file.stem), rule.get("version", [])
    if not isinstance(name, str) or not name:
        problems.add("rule.name", "must be a text", "")
    entries = [listed] if isinstance(listed, Mapping) else listed
    if not isinstance(entries, list):
        problems.add("rule.version", "must be a list of tables", _HINT)
        entries = []
    made = [build(RuleVersion, part, f"rule.version[{i}]", problems) for i, part in enumerate(entries)]
    return RuleFile(str(name), tuple(version for version in made if version is not None))
