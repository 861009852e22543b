"""An expression tree and vectors in, one vector out: the evaluator for tables; refuses operands of the wrong kind.

Logic is Kleene's: 1, 0 and NaN. Every operation that leaves the finite numbers gives null.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from riskml.errors import ExpressionError
from riskml.expression import syntax
from riskml.expression.functions import FUNCTIONS
from riskml.expression.values import NEVER, Array, Vector, as_numbers, finite, within, wrong_kind


def evaluate_table(node: syntax.Node, columns: Mapping[str, Vector]) -> Vector:
    """The value of the tree, of length n, or 1 where it does not depend on the rows.

    Raises:
        ExpressionError: an operand is of the wrong kind.
    """
    with np.errstate(all="ignore"):
        return _evaluate(node, columns)


def _evaluate(node: syntax.Node, columns: Mapping[str, Vector]) -> Vector:
    match node:
        case syntax.Number(value):
            return Vector("number", np.array([value]))
        case syntax.Text(text):
            return Vector("text", np.array([text], dtype=object))
        case syntax.Null():
            return Vector("number", np.array([np.nan]))
        case syntax.Column(name):
            return columns[name]
        case syntax.Negate(part):
            return Vector("number", -as_numbers(_evaluate(part, columns), "-"))
        case syntax.Arithmetic(sign, left, right):
            return _arithmetic(sign, _evaluate(left, columns), _evaluate(right, columns))
        case syntax.Compare(sign, left, right):
            return Vector("number", _compare(sign, _evaluate(left, columns), _evaluate(right, columns)))
        case syntax.Logic(word, parts):
            return Vector("number", _fold(word, [as_numbers(_evaluate(part, columns), word) for part in parts]))
        case syntax.Not(part):
            values = as_numbers(_evaluate(part, columns), "not")
            return Vector("number", np.where(np.isnan(values), np.nan, values == 0))
        case syntax.Member(part, items):
            found = _evaluate(part, columns)
            return Vector("number", _fold("or", [_compare("==", found, _evaluate(item, columns)) for item in items]))
        case syntax.IsNull(part):
            return Vector("number", _evaluate(part, columns).null().astype(np.float64))
        case syntax.Call(name, parts):
            return FUNCTIONS[name].vector([_evaluate(part, columns) for part in parts])


def _arithmetic(sign: str, left: Vector, right: Vector) -> Vector:
    if "time" in (left.kind, right.kind) and sign in "+-":
        return _move(sign, left, right)
    a, b = as_numbers(left, sign), as_numbers(right, sign)
    if sign == "+":
        return Vector("number", finite(a + b))
    if sign == "-":
        return Vector("number", finite(a - b))
    if sign == "*":
        return Vector("number", finite(a * b))
    return Vector("number", finite(a / b))


def _move(sign: str, left: Vector, right: Vector) -> Vector:
    """Time - time in seconds; time ± seconds and seconds + time as times."""
    null = left.null() | right.null()
    if null.all():
        return Vector("number", np.full(null.shape, np.nan))
    if left.kind == "time" and right.kind == "time" and sign == "-":
        gap = np.where(null, 0, left.values) - np.where(null, 0, right.values)
        return Vector("number", np.where(null, np.nan, gap / 1e6))
    if left.kind == "time" and right.kind != "time":
        when, step = left, as_numbers(right, sign)
    elif sign == "+" and right.kind == "time" and left.kind != "time":
        when, step = right, as_numbers(left, sign)
    else:
        raise wrong_kind("time", f"`{sign}`")
    micros = np.rint(step * 1e6)
    good = ~when.null() & (np.abs(micros) < 2.0**62)
    shift = np.where(good, micros, 0.0).astype(np.int64) * (1 if sign == "+" else -1)
    return Vector("time", within(np.where(good, np.where(good, when.values, 0) + shift, NEVER)))


def _compare(sign: str, left: Vector, right: Vector) -> Array:
    """1, 0 or NaN; texts compare by code point."""
    null = left.null() | right.null()
    if left.kind != right.kind:
        if not null.all():
            raise ExpressionError(
                f"`{sign}` compares a {left.kind} with a {right.kind}", "texts that hold numbers are not converted"
            )
        return np.full(null.shape, np.nan)
    a, b = np.broadcast_arrays(left.values, right.values)
    if left.kind == "text" and sign not in ("==", "!="):
        a, b = np.where(null, "", a), np.where(null, "", b)
    return np.where(null, np.nan, _relation(sign, a, b).astype(np.float64))


def _relation(sign: str, a: Array, b: Array) -> Array:
    match sign:
        case "==":
            return np.asarray(a == b)
        case "!=":
            return np.asarray(a != b)
        case "<":
            return np.asarray(a < b)
        case "<=":
            return np.asarray(a <= b)
        case ">":
            return np.asarray(a > b)
        case _:
            return np.asarray(a >= b)


def _fold(word: str, parts: list[Array]) -> Array:
    """Kleene ``and`` / ``or`` over 1, 0 and NaN; any other number counts as true."""
    decided = np.zeros(1, dtype=bool)
    open_ = np.zeros(1, dtype=bool)
    for part in parts:
        null = np.isnan(part)
        open_ = open_ | null
        decided = decided | (~null & ((part != 0) if word == "or" else (part == 0)))
    settled, otherwise = (1.0, 0.0) if word == "or" else (0.0, 1.0)
    return np.where(decided, settled, np.where(open_, np.nan, otherwise))
