"""JUnit: each check a case, its word kept, and a document every parser reads."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.report.checks import checks
from riskml.report.junit import broken, junit
from tests.report.facts import backtest_facts

TAGS = {"PASS": "system-out", "FAIL": "failure", "INCONCLUSIVE": "skipped"}


@pytest.mark.parametrize("word", TAGS)
def test_each_check_is_a_case_with_its_word(word: str) -> None:
    """FAIL is a failure, INCONCLUSIVE skipped, PASS neither; the counts are those of the cases."""
    facts = backtest_facts(word)
    root = ET.fromstring(junit(facts))
    cases = {str(case.get("name")): case for case in root.iter("testcase")}
    expected = {check.name: check for check in checks(facts)}
    assert list(cases) == list(expected) and {"REPLACE", "ADD", "volume match", "insults", "maturity"} <= set(cases)
    for name, case in cases.items():
        (held,) = case
        assert held.tag == TAGS[expected[name].word]
        assert expected[name].text in (held.text or "") + held.get("message", "")
    assert cases["REPLACE"][0].tag == TAGS[word]
    for element in (root, root[0]):
        counts = {key: int(element.get(key, -1)) for key in ("tests", "failures", "errors", "skipped")}
        tags = [case[0].tag for case in cases.values()]
        assert counts == {
            "tests": len(tags),
            "failures": tags.count("failure"),
            "errors": 0,
            "skipped": tags.count("skipped"),
        }


def test_lineage_is_on_the_report() -> None:
    """Schema, headline and every hash are properties."""
    facts = backtest_facts("PASS")
    held = {item.get("name"): item.get("value") for item in ET.fromstring(junit(facts)).iter("property")}
    assert held["schema"] == facts["schema"] and held["headline"] == facts["headline"]
    assert all(held[f"hash.{name}"] == digest for name, digest in facts["hashes"].items())


@given(st.text(), st.text(), st.text())
def test_any_text_makes_a_readable_document(name: str, message: str, hint: str) -> None:
    """Control characters, brackets and quotes neither break the document nor add a case."""
    (case,) = ET.fromstring(broken(name, message, hint)).iter("testcase")
    (error,) = case
    assert error.tag == "error" and ("<" in str(error.get("message"))) == ("<" in message)


def test_hostile_facts_stay_text() -> None:
    """A threat named like markup, and reasons with control characters, are text in the report."""
    facts = backtest_facts("FAIL") | {"threat": "<x>&\x00\"'"}
    facts["replace"]["reasons"] = ["a\x1b[31m < b"]
    (suite,) = ET.fromstring(junit(facts))
    assert suite.get("name") == "riskml <x>&\ufffd\"'"
    assert suite[1][0].text == "a\ufffd[31m < b"
