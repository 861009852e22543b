"""Counters: what was added up comes out, in the text format that Prometheus reads."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from riskml.serve.metrics import Histogram, Metrics

LINE = re.compile(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})? (-?[0-9.e+-]+|NaN|\+Inf)')


@given(st.lists(st.floats(0, 10), max_size=50))
def test_a_histogram_counts_what_is_below_each_bound(values: list[float]) -> None:
    """Every bucket holds the values at or below its bound; the last one all of them."""
    bounds = (0.1, 1.0, 5.0)
    held = Histogram(bounds)
    for value in values:
        held.add(value)
    said = [float(line.rsplit(" ", 1)[1]) for line in held.lines("x", ())]
    assert said[:4] == [sum(v <= bound for v in values) for bound in (*bounds, float("inf"))]
    assert said[5] == len(values) and abs(said[4] - sum(values)) < 1e-9


def test_every_line_reads_as_the_format_says() -> None:
    """Names have one type before their values, labels are escaped, and each answer was counted under its own."""
    metrics = Metrics()
    for status in (200, 200, 422):
        metrics.request("/score", status, 30e-6)
    metrics.decision("/score", "champion", "allow", "alert", 0.2)
    metrics.event("reload", 'a "quoted"\\ word\nand a line')
    text = metrics.render({"riskml_release": {"release": "a-1"}}, {"riskml_connections": 2.0}).decode()
    typed: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed
            typed.add(name)
        elif not line.startswith("#"):
            found = LINE.fullmatch(line)
            assert found, line
            assert re.sub("_(bucket|sum|count)$", "", found[1]) in typed or found[1] in typed
    assert 'riskml_requests_total{route="/score",status="200"} 2\n' in text
    assert 'riskml_requests_total{route="/score",status="422"} 1\n' in text
    assert 'riskml_request_seconds_bucket{route="/score",le="5e-05"} 3\n' in text
    assert 'riskml_decisions_total{route="/score",arm="champion",action="allow",would="alert"} 1\n' in text
    assert 'riskml_release{release="a-1"} 1\n' in text and "riskml_connections 2\n" in text
