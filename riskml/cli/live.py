"""The words beside a progress bar, fitted to the terminal: what matters most stays when there is little room.

In go a count, a detail such as ``best 0.61 (trial 12) · 34 s left`` and columns of text; out comes one line that fits.
Details are parts with a middle dot between them; the last part, how long it will take, is the last to go.
"""

from __future__ import annotations

BETWEEN = " · "
BAR, CLOCK = 24, 7  # columns of the bar and of the time spent
WIDE = 100  # columns from which bar and clock have room beside the words


def fitted(count: str, detail: str, room: int) -> str:
    """Count and detail in at most ``room`` columns.

    >>> fitted("12/40", "best 0.61 (trial 12) · 34 s left", 40)
    '12/40 best 0.61 (trial 12) · 34 s left'
    >>> fitted("12/40", "best 0.61 (trial 12) · 34 s left", 30)
    '12/40 best 0.61 (… · 34 s left'
    >>> fitted("12/40", "best 0.61 (trial 12) · 34 s left", 18)
    '12/40 34 s left'
    """
    whole = f"{count} {detail}".strip()
    if len(whole) <= room:
        return whole
    parts = detail.split(BETWEEN)
    for kept in range(len(parts)):
        first, after = parts[kept], BETWEEN.join(["", *parts[kept + 1 :]])
        left = room - len(count) - 1 - len(after)
        if len(first) <= left:
            return f"{count} {first}{after}"
        if left >= 10:
            return f"{count} {first[: left - 1].rstrip()}…{after}"
    return count[: max(room, 0)]


def room_beside(topic: str, width: int, dressed: bool) -> int:
    """Columns left for the words in a terminal of ``width``; ``dressed`` with bar and clock."""
    return width - len(topic) - 1 - (BAR + CLOCK + 2 if dressed else 0)


def spoken(detail: str) -> str:
    """A detail in a plain line, where commas do and a dot may not be printable.

    >>> spoken("best 0.61 · 34 s left")
    'best 0.61, 34 s left'
    """
    return detail.replace(BETWEEN, ", ")
