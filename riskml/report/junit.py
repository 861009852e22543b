"""The checks of a backtest as JUnit XML, which every CI system draws.

In go facts of a backtest, or the error that kept them from being; out comes one document. FAIL is a failure,
INCONCLUSIVE is skipped with what would settle it, and an error is an error: a run that could not answer never looks
like one that passed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from riskml.report.checks import Check, checks

__all__ = ["broken", "junit"]

# XML 1.0, production 2 "Char": everything else may not appear, escaped or not
_FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def junit(facts: Mapping[str, Any]) -> str:
    """One test case for each check of ``facts``; lineage as properties."""
    found = checks(facts)
    suite = _suite(str(facts["threat"]), found)
    held = {"schema": facts["schema"], "question": facts["question"], "headline": facts["headline"]}
    properties = ET.SubElement(suite, "properties")
    for name, value in {**held, **{f"hash.{name}": value for name, value in facts["hashes"].items()}}.items():
        ET.SubElement(properties, "property", name=_text(name), value=_text(str(value)))
    for check in found:
        case = _case(suite, str(facts["threat"]), check.name)
        if check.word == "FAIL":
            ET.SubElement(case, "failure", message=_text(check.text), type="FAIL").text = _text(check.text)
        elif check.word == "INCONCLUSIVE":
            ET.SubElement(case, "skipped", message=_text(f"INCONCLUSIVE: {check.text}"))
        else:
            ET.SubElement(case, "system-out").text = _text(check.text)
    return _document(suite)


def broken(name: str, message: str, hint: str) -> str:
    """A document of one error, for the recipe ``name`` that got no answer."""
    suite = _suite(name, (), errors=1)
    case = _case(suite, name, "verdict")
    ET.SubElement(case, "error", message=_text(message), type="INVALID").text = _text(hint)
    return _document(suite)


def _suite(name: str, found: tuple[Check, ...], errors: int = 0) -> ET.Element:
    words = [check.word for check in found]
    counts = {
        "tests": len(found) + errors,
        "failures": words.count("FAIL"),
        "errors": errors,
        "skipped": words.count("INCONCLUSIVE"),
        "time": 0,
    }
    return ET.Element("testsuite", {"name": _text(f"riskml {name}")} | {key: str(n) for key, n in counts.items()})


def _case(suite: ET.Element, threat: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_text(f"riskml.{threat}"), name=_text(name), time="0")


def _document(suite: ET.Element) -> str:
    root = ET.Element("testsuites", {k: v for k, v in suite.attrib.items() if k != "name"} | {"name": "riskml"})
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
