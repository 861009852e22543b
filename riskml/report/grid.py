"""Tables as text, before anyone draws them: HTML and Markdown both lay out the same grid.

In go texts and intervals; out come frozen grids whose cells are text with a mark. Nothing is rounded away but digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from riskml.evidence.backtest.verdict import Interval
from riskml.evidence.backtest.words import Form, money, span

__all__ = ["Cell", "Grid", "marked", "plain", "row"]

Cell = tuple[str, str]  # text, and its mark or ""


@dataclass(frozen=True)
class Grid:
    """A table: title, a caption that says how to read it, a heading per column, then rows."""

    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def marked(interval: Interval, form: Form = money, write: Callable[[Interval, Form], str] = span) -> Cell:
    """A number with how it is known; a dash where there is none."""
    if interval.low != interval.low and interval.high != interval.high:
        return "–", ""
    return write(interval, form), interval.mark


def plain(*texts: object) -> tuple[Cell, ...]:
    """Cells without a mark; whole numbers get separators."""
    return tuple((f"{text:,}" if isinstance(text, int) else str(text), "") for text in texts)


def row(name: object, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """A row that begins with a name."""
    return (*plain(name), *cells)
