"""Facts into one HTML file: autoescaped templates, inline SVG, nothing fetched, nothing to run.

In go a template's name and a mapping of JSON-ready facts; out comes a page that reads well with scripts off, with
styles off, in the dark and on paper. The facts are embedded as ``application/json``. A name a template uses but the
facts lack is an error, never a blank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from riskml.report import charts


def render(template_name: str, facts: Mapping[str, object], **extra: object) -> str:
    """The page of ``template_name``.

    Args:
        template_name: a file of ``report/templates``.
        facts: embedded in the page and given to the template by name, and as ``facts``.
        extra: given to the template alone: views of the facts made for the eye.
    """
    page = _environment().get_template(template_name)
    return page.render(**{**facts, **extra, "facts": facts, "embedded": embed(facts)})


def embed(facts: Mapping[str, object]) -> Markup:
    """JSON that is safe inside a ``script`` element."""
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # every character that could end the element is escaped above


def number(value: object, digits: int = 3) -> str:
    """``12,345``, ``0.0123`` or ``–`` for nothing: whole numbers in full, others to ``digits`` significant ones."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}".replace("-", "−")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}" if places <= digits + 3 else f"{value:.{digits - 1}e}"
    return text.replace("-", "−")


def percent(value: object, digits: int = 1) -> str:
    """``12.3 %`` of a share; ``–`` for nothing."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{100 * value:,.{digits}f} %".replace("-", "−")


def finite(value: object) -> bool:
    """Whether there is a number to show."""
    return isinstance(value, int | float) and math.isfinite(value)


def money(value: object) -> str:
    """``12,345`` without decimals; ``–`` for nothing."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}".replace("-", "−")


def day(value: object) -> str:
    """``5 Oct 2026`` of an ISO time; anything else as it is."""
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return str(value)
    return f"{moment.day} {moment:%b %Y}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("riskml.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, percent=percent, money=money, day=day)
    made.globals.update(charts=charts)
    return made
