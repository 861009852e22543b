"""A rule in a file of its own: what is read, and how refusals read."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskml.errors import RecipeError, UsageError
from riskml.recipe.rulefile import read_rule
from riskml.recipe.spec import RuleVersion

TOML = """
[rule]
name = "night_rule"
[[rule.version]]
when = "amount > 500"
[[rule.version]]
when = "amount > 900"
from = 1970-01-02T00:00:00Z
"""


def put(folder: Path, text: str, name: str = "night.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_toml_holds_versions_and_a_name(tmp_path: Path) -> None:
    """Versions come as written, in the recipe's own words; the name is the file's unless it gives one."""
    found = read_rule(put(tmp_path, TOML))
    assert found.name == "night_rule"
    assert found.versions == (RuleVersion("amount > 500"), RuleVersion("amount > 900", 86_400_000_000))
    assert read_rule(put(tmp_path, '[rule.version]\nwhen = "amount > 1"')).name == "night"


def test_text_holds_one_expression(tmp_path: Path) -> None:
    """Lines are joined, comments are left out, and the rule holds always."""
    found = read_rule(put(tmp_path, "# at night\namount > 500\n  and hour_of_day(at) < 6\n\n", "night.txt"))
    assert found.versions == (RuleVersion("amount > 500 and hour_of_day(at) < 6"),)
    assert read_rule(put(tmp_path, "\ufeffamount > 5", "marked.txt")).versions == (RuleVersion("amount > 5"),)


def test_the_digest_is_of_what_the_rule_says(tmp_path: Path) -> None:
    """Name and file do not matter, text and time do."""
    first = read_rule(put(tmp_path, TOML)).digest
    assert read_rule(put(tmp_path, TOML.replace("night_rule", "other"), "b.toml")).digest == first
    assert read_rule(put(tmp_path, TOML.replace("900", "901"))).digest != first
    assert read_rule(put(tmp_path, TOML.replace("01-02", "01-03"))).digest != first


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "", "holds no rule"),
        ("a.toml", "", "holds no rule"),
        ("a.toml", "rule = 3", "must be a table"),
        ("a.toml", "amount > 5", "is not valid TOML"),
        ("a.toml", '[[rule.version]]\nwhen = "amount >"', "rule.version[0].when"),
        ("a.txt", "amount > 5 amount", "a.txt"),
        ("a.toml", '[[rule.version]]\nwen = "amount > 5"', "when"),
        ("a.toml", '[rule]\nfired = "rule_fired"\n[rule.version]\nwhen = "amount > 5"', "rule.fired"),
        ("a.toml", TOML + '\n[events]\npath = "x.csv"', "events"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    """The message names the file and the place."""
    with pytest.raises(RecipeError) as caught:
        read_rule(put(tmp_path, text, name))
    assert says in caught.value.message and name in caught.value.message


def test_files_that_are_no_rule_are_refused(tmp_path: Path) -> None:
    """A missing, binary or endless file is a usage error with the nearest name."""
    put(tmp_path, TOML)
    with pytest.raises(UsageError) as caught:
        read_rule(tmp_path / "nigt.toml")
    assert "night.toml" in caught.value.hint
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    for path, says in ((tmp_path / "b.txt", "not a text file"), (tmp_path, "cannot read")):
        with pytest.raises(UsageError, match=says):
            read_rule(path)
    with pytest.raises(UsageError, match="too long"):
        read_rule(put(tmp_path, "a " * 40_000, "c.txt"))
