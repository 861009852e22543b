"""Small pictures as inline SVG, drawn from facts.

In go names and numbers; out comes markup whose every text is escaped and whose every mark has a ``<title>``.
Colours are written into the marks, so a picture survives without the page's style, and classes let the page restyle
it for the dark. Numbers that are not finite are refused by drawing nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

INK, SOFT, LINE = "#2b3440", "#6b7683", "#d5dae0"
BLUE, WARM, PALE = "#33658a", "#c8693c", "#a9bccb"


def bars(
    rows: Sequence[tuple[str, float, float | None]], caption: str, first: str = "", second: str = "", width: int = 720
) -> Markup:
    """Horizontal bars of (label, value, second value or None); both share one scale.

    Args:
        rows: from the top down.
        caption: what the picture shows, for readers who cannot see it.
        first, second: names of the two values, shown in the titles.
        width: in pixels.
    """
    left, step = 290, 26
    top = max([value for _, a, b in rows for value in (a, b or 0.0)], default=0.0) or 1.0
    scale = (width - left - 90) / top
    parts = []
    for at, (label, value, other) in enumerate(rows):
        y = at * step + 4
        parts.append(_text(left - 10, y + 13, _cut(label, 42), "end"))
        parts.append(_rect(left, y + 1, value * scale, 10, BLUE, f"{label}: {first} {value:.3g}", "one"))
        if other is not None:
            parts.append(_rect(left, y + 12, other * scale, 5, WARM, f"{label}: {second} {other:.3g}", "two"))
        end = left + max(value, other or 0.0) * scale
        parts.append(_text(end + 8, y + 13, f"{value:.2g}", soft=True))
        if other is not None:
            shift = end + 14 + 7 * len(f"{value:.2g}")
            parts.append(f'<text class="two" x="{shift:.1f}" y="{y + 13:.1f}" fill="{WARM}">{other:.2g}</text>')
    return _svg(width, len(rows) * step + 8, caption, parts)


def strips(spreads: Sequence[Mapping[str, Any]], caption: str, width: int = 720) -> Markup:
    """One row per feature: where its contributions lie; height is the number of events, colour the value's rank."""
    left, step, foot = 290, 30, 34
    edges: list[float] = [edge for item in spreads for edge in item["edges"]]
    if not edges:
        return Markup("")
    low, high = min([*edges, 0.0]), max([*edges, 0.0])
    scale = (width - left - 20) / ((high - low) or 1.0)
    bottom = len(spreads) * step

    def x(value: float) -> float:
        return left + (value - low) * scale

    parts = [_line(x(tick), 0, x(tick), bottom) for tick in ticks(low, high)]
    parts += [_text(x(tick), bottom + 14, _signed(tick), "middle", soft=True) for tick in ticks(low, high)]
    for at, item in enumerate(spreads):
        middle = at * step + step / 2
        parts.append(_text(left - 10, middle + 4, _cut(item["feature"], 42), "end"))
        most = math.log1p(max(item["events"], default=1))
        for low_edge, high_edge, events, rank in zip(
            item["edges"], item["edges"][1:], item["events"], item["rank"], strict=False
        ):
            if events:
                half = max(1.0, 12 * math.log1p(events) / most)
                title = f"{events:,} events near {_signed((low_edge + high_edge) / 2)}"
                wide = max(1.4, (high_edge - low_edge) * scale)
                parts.append(_rect(x(low_edge), middle - half, wide, 2 * half, blend(rank), title))
    parts.append(
        _text((left + width) / 2, bottom + 30, "contribution, log-odds (right: towards fraud)", "middle", soft=True)
    )
    return _svg(width, bottom + foot, caption, parts)


def dependence(item: Mapping[str, Any], width: int = 350, height: int = 190) -> Markup:
    """Mean contribution by value with its 10th to 90th percentile; missing values stand apart on the right."""
    bins: list[Mapping[str, Any]] = list(item["bins"])
    missing = item["missing"]
    shown = [*bins, *([missing] if missing else [])]
    if not shown:
        return Markup("")
    low: float = min(0.0, *(b["p10"] for b in shown), *(b["mean"] for b in shown))
    high: float = max(0.0, *(b["p90"] for b in shown), *(b["mean"] for b in shown))
    left, right, top, foot = 46, 12, 8, 40
    scale = (height - top - foot) / ((high - low) or 1.0)
    slot = (width - left - right) / len(shown)

    def y(value: float) -> float:
        return height - foot - (value - low) * scale

    parts = [_line(left, y(tick), width - right, y(tick)) for tick in ticks(low, high, 4)]
    parts += [_text(left - 6, y(tick) + 4, _signed(tick), "end", soft=True) for tick in ticks(low, high, 4)]
    middles = [left + slot * (at + 0.5) for at in range(len(shown))]
    if item["kind"] == "number" and len(bins) > 1:
        xs = middles[: len(bins)]
        upper = [f"{a:.1f},{y(b['p90']):.1f}" for a, b in zip(xs, bins, strict=True)]
        lower = [f"{a:.1f},{y(b['p10']):.1f}" for a, b in zip(xs, bins, strict=True)]
        parts.append(f'<polygon class="band" points="{" ".join(upper + lower[::-1])}" fill="{PALE}" opacity=".45"/>')
        line = " ".join(f"{a:.1f},{y(b['mean']):.1f}" for a, b in zip(xs, bins, strict=True))
        parts.append(f'<polyline class="path" points="{line}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for at, (b, x) in enumerate(zip(shown, middles, strict=True)):
        is_missing = missing is not None and at == len(bins)
        name = b["label"] if b["label"] is not None else _span(b, item["unit"])
        title = f"{name}: {_signed(b['mean'])} over {b['events']:,} events"
        if is_missing or item["kind"] != "number":
            parts.append(_line(x, y(b["p10"]), x, y(b["p90"]), PALE, 4))
        parts.append(_dot(x, y(b["mean"]), 3.4, WARM if is_missing else BLUE, title))
    parts += _below(bins, missing, middles, height - foot + 16, item["unit"])
    return _svg(width, height, f"How {item['feature']} moves the score", parts)


def trials(
    values: Sequence[float],
    best: int,
    caption: str,
    width: int = 720,
    height: int = 150,
    *,
    pruned: Sequence[bool] = (),
    numbers: Sequence[int] = (),
) -> Markup:
    """Value of every trial in order, the best so far as a line.

    Args:
        values: of each trial.
        best: position of the chosen trial.
        caption: what the picture shows, for readers who cannot see it.
        width, height: in pixels.
        pruned: trials given up early: drawn hollow, inside the range of the others, and never the best.
        numbers: what the trials are called; their positions if empty.
    """
    if not values:
        return Markup("")
    gone, names = list(pruned) or [False] * len(values), list(numbers) or list(range(len(values)))
    ranged = [value for value, out in zip(values, gone, strict=True) if not out] or list(values)
    low, high = min(ranged), max(ranged)
    pad = (high - low) * 0.08 or abs(high) * 0.05 or 1e-6
    low, high, left, foot = low - pad, high + pad, 56, 24
    slot = (width - left - 12) / max(1, len(values) - 1)

    def y(value: float) -> float:
        return 6 + (high - min(max(value, low), high)) / (high - low) * (height - foot - 6)

    parts = [_line(left, y(tick), width - 12, y(tick)) for tick in ticks(low, high, 4)]
    parts += [_text(left - 6, y(tick) + 4, f"{tick:.3g}", "end", soft=True) for tick in ticks(low, high, 4)]
    points, so_far = [], -math.inf
    for at, value in enumerate(values):
        if so_far > -math.inf:
            points.append(f"{left + at * slot:.1f},{y(so_far):.1f}")
        so_far = so_far if gone[at] else max(so_far, value)
        if so_far > -math.inf:
            points.append(f"{left + at * slot:.1f},{y(so_far):.1f}")
    parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{PALE}" stroke-width="2"/>')
    for at, value in enumerate(values):
        colour, radius = (WARM, 5.0) if at == best else (BLUE, 3.4)
        words = f"trial {names[at]}: {value:.4f}" + (", pruned" if gone[at] else "")
        mark = _ring if gone[at] else _dot
        parts.append(mark(left + at * slot, y(value), radius, colour, words))
    last = len(values) - 1
    for at in sorted({0, last // 2, last}):
        anchor = "middle" if 0 < at < last else "start" if at == 0 else "end"
        parts.append(_text(left + at * slot, height - 6, f"trial {names[at]}", anchor, soft=True))
    return _svg(width, height, caption, parts)


def dots(rows: Sequence[tuple[str, Sequence[float], bool]], caption: str, width: int = 720) -> Markup:
    """One row per (label, values, whether it is the chosen one): its values as dots, their mean as a stroke.

    Args:
        rows: from the top down, all on one scale.
        caption: what the picture shows, for readers who cannot see it.
        width: in pixels.
    """
    shown = [value for _, values, _ in rows for value in values]
    if not shown:
        return Markup("")
    left, step, low, high = 150, 24, min(shown), max(shown)
    pad = (high - low) * 0.04 or abs(high) * 0.05 or 1e-6
    low, high, bottom = low - pad, high + pad, len(rows) * step

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - 20)

    parts = [_line(x(tick), 0, x(tick), bottom) for tick in ticks(low, high)]
    parts += [_text(x(tick), bottom + 14, f"{tick:.3g}", "middle", soft=True) for tick in ticks(low, high)]
    for at, (label, values, chosen) in enumerate(rows):
        if not values:
            continue
        middle, colour = at * step + step / 2, WARM if chosen else BLUE
        mean = sum(values) / len(values)
        parts.append(_text(left - 10, middle + 4, _cut(label, 22), "end"))
        parts.append(_line(x(min(values)), middle, x(max(values)), middle, PALE, 2))
        parts.append(_line(x(mean), middle - 8, x(mean), middle + 8, colour, 2))
        parts += [
            _dot(x(value), middle, 3.4, colour, f"{label}, fold {place + 1}: {value:.4f}")
            for place, value in enumerate(values)
        ]
    return _svg(width, bottom + 20, caption, parts)


def reliability(bins: Mapping[str, Sequence[float]], caption: str, size: int = 420) -> Markup:
    """Seen share of frauds against predicted probability, both on logarithmic axes, with 95 % intervals as strokes.

    Args:
        bins: columns ``predicted``, ``observed``, ``low``, ``high``, ``rows`` and ``frauds``, a value for each point.
        caption: what the picture shows, for readers who cannot see it.
        size: in pixels, of either side.
    """
    columns = [bins[name] for name in ("predicted", "observed", "low", "high", "rows", "frauds")]
    points = list(zip(*columns, strict=True))
    if not points or not all(math.isfinite(value) for point in points for value in point):
        return Markup("")
    seen = [value for point in points for value in point[:4] if value > 0]
    low = min(-1, max(-6, math.floor(math.log10(min(seen)) + 1e-9)))  # what is smaller lies on the edge
    left, right, top, foot = 58, 14, 10, 44
    scale = (size - left - right) / -low

    def at(value: float) -> float:
        return (math.log10(max(value, 10.0**low)) - low) * scale

    end = size - right
    bottom, parts = top + end - left, []
    for power in range(low, 1):
        x, y, words = left + at(10.0**power), bottom - at(10.0**power), f"{10.0**power:.{max(0, -power)}f}"
        parts += [_line(x, top, x, bottom), _line(left, y, end, y)]
        parts += [_text(x, bottom + 16, words, "middle", soft=True), _text(left - 6, y + 4, words, "end", soft=True)]
    parts.append(_line(left, bottom, end, top, SOFT, 1))
    for predicted, observed, least, most, rows, frauds in points:
        x, title = left + at(predicted), f"predicted {predicted:.3g}, seen {observed:.3g} "
        parts.append(_line(x, bottom - at(least), x, bottom - at(most), PALE, 4))
        title += f"({least:.2g} to {most:.2g}): {frauds:,.0f} frauds in {rows:,.0f} events"
        parts.append(_dot(x, bottom - at(observed), 4, BLUE, title))
    parts.append(
        _text((left + end) / 2, bottom + 36, "predicted probability (up: seen share of frauds)", "middle", soft=True)
    )
    return _svg(size, bottom + foot, caption, parts)


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers inside [low, high], about ``about`` of them.

    >>> ticks(-0.2, 1.1, 4)
    [0.0, 0.5, 1.0]
    """
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low] if math.isfinite(low) else []
    rough = span / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 12) + 0.0 for at in range(first, math.floor(high / step + 1e-9) + 1)]


def blend(rank: float | None) -> str:
    """From pale blue (low values) over grey to warm (high values); a neutral tone where all are missing."""
    if rank is None:
        return "#b9bfc6"
    cold, mid, warm = (78, 132, 171), (176, 170, 178), (205, 98, 52)
    start, end, part = (cold, mid, rank * 2) if rank < 0.5 else (mid, warm, rank * 2 - 1)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(start, end, strict=True))


def _below(
    bins: Sequence[Mapping[str, Any]], missing: Mapping[str, Any] | None, middles: Sequence[float], y: float, unit: str
) -> list[str]:
    """Words under the axis: a few values of a number, every category (slanted), and "missing"."""
    parts = []
    if bins and bins[0]["label"] is None:
        for at in sorted({0, (len(bins) - 1) // 2, len(bins) - 1}):
            parts.append(_text(middles[at], y, _value(bins[at]["middle"], unit), "middle", soft=True))
    else:
        for b, x in zip(bins, middles, strict=False):
            turned = f'transform="rotate(30 {x:.1f} {y - 4:.1f})"'
            parts.append(_text(x, y - 4, _cut(b["label"], 9), "start", soft=True, more=turned))
    if missing is not None:
        parts.append(_text(middles[-1], y + (14 if len(bins) else 0), "missing", "end", soft=True))
    return parts


def _svg(width: float, height: float, caption: str, parts: Iterable[str]) -> Markup:
    head = (
        f'<svg role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'aria-label="{escape(caption)}" font-family="system-ui, sans-serif" font-size="12">'
    )
    return Markup(f"{head}{''.join(parts)}</svg>")  # every text inside went through escape


def _text(x: float, y: float, words: str, anchor: str = "start", soft: bool = False, more: str = "") -> str:
    look = f'class="{"soft" if soft else "ink"}" fill="{SOFT if soft else INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {look} {more}>{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, title: str, name: str = "mark") -> str:
    size = f'x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}"'
    return f'<rect class="{name}" {size} rx="1" fill="{fill}"><title>{escape(title)}</title></rect>'


def _dot(x: float, y: float, radius: float, fill: str, title: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}"><title>{escape(title)}</title></circle>'


def _ring(x: float, y: float, radius: float, line: str, title: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    return f'<circle {place} fill="none" stroke="{line}" opacity=".7"><title>{escape(title)}</title></circle>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = LINE, width: float = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="grid" {ends} stroke="{colour}" stroke-width="{width}"/>'


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−") if value else "0"


def _value(value: float, unit: str = "") -> str:
    """A feature's value on an axis: ``1,234``, ``0.12``, ``3.4M``; seconds as ``3.5h`` or ``12d``."""
    if unit == "seconds":
        for span, letter in ((86_400, "d"), (3_600, "h"), (60, "min")):
            if abs(value) >= span:
                return f"{value / span:.2g}{letter}" if abs(value) < 100 * span else f"{value / span:,.0f}{letter}"
        return f"{value:.2g}s"
    for size, scale, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= size:
            return f"{value / scale:.3g}{letter}"
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _span(b: Mapping[str, Any], unit: str) -> str:
    """The values of a bin."""
    if b["low"] == b["high"]:
        return _value(b["middle"], unit)
    return f"{_value(b['low'], unit)} to {_value(b['high'], unit)}"
