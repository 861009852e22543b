"""An expression tree in, one function of an event's fields out: the evaluator for one decision at a time.

The closures follow ``riskml.expression.table`` operation by operation in Python's own floats, which are the same IEEE
doubles; None is null. Refuses operands of the wrong kind.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from riskml.errors import ExpressionError
from riskml.expression import syntax
from riskml.expression.functions import FUNCTIONS
from riskml.expression.values import Micros, Scalar, as_number, instant, kind_of, number, wrong_kind

Closure = Callable[[Mapping[str, Scalar]], Scalar]

_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)


def compile_event(node: syntax.Node) -> Closure:
    """The function that evaluates the tree for one event."""
    match node:
        case syntax.Number(value) | syntax.Text(value):
            return lambda row: value
        case syntax.Null():
            return lambda row: None
        case syntax.Column(name):
            return lambda row: row[name]
        case syntax.Negate(part):
            return _negate(compile_event(part))
        case syntax.Arithmetic(sign, left, right):
            return _arithmetic(sign, compile_event(left), compile_event(right))
        case syntax.Compare(sign, left, right):
            return _compare(sign, compile_event(left), compile_event(right))
        case syntax.Logic(word, parts):
            return _logic(word, tuple(compile_event(part) for part in parts))
        case syntax.Not(part):
            return _not(compile_event(part))
        case syntax.Member(part, items):
            found = compile_event(part)
            return _logic("or", tuple(_compare("==", found, compile_event(item)) for item in items))
        case syntax.IsNull(part):
            inner = compile_event(part)
            return lambda row: float(inner(row) is None)
        case syntax.Call(name, parts):
            call, inputs = FUNCTIONS[name].scalar, tuple(compile_event(part) for part in parts)
            return lambda row: call([one(row) for one in inputs])


def _negate(part: Closure) -> Closure:
    def closure(row: Mapping[str, Scalar]) -> Scalar:
        value = as_number(part(row), "-")
        return None if value is None else -value

    return closure


def _arithmetic(sign: str, left: Closure, right: Closure) -> Closure:
    def closure(row: Mapping[str, Scalar]) -> Scalar:
        a, b = left(row), right(row)
        if sign in "+-" and (isinstance(a, Micros) or isinstance(b, Micros)):
            return _move(sign, a, b)
        x, y = as_number(a, sign), as_number(b, sign)
        if x is None or y is None:
            return None
        if sign == "+":
            return number(x + y)
        if sign == "-":
            return number(x - y)
        if sign == "*":
            return number(x * y)
        return number(x / y) if y else None

    return closure


def _move(sign: str, a: Scalar, b: Scalar) -> Scalar:
    """Time - time in seconds; time ± seconds and seconds + time as times."""
    if a is None or b is None:
        return None
    if isinstance(a, Micros) and isinstance(b, Micros) and sign == "-":
        return (a - b) / 1e6
    if isinstance(a, Micros) and not isinstance(b, Micros):
        when, step = a, as_number(b, sign)
    elif sign == "+" and isinstance(b, Micros) and not isinstance(a, Micros):
        when, step = b, as_number(a, sign)
    else:
        raise wrong_kind("time", f"`{sign}`")
    micros = number((step or 0.0) * 1e6)
    if micros is None or abs(micros) >= 2.0**62:
        return None
    return instant(when + round(micros) if sign == "+" else when - round(micros))


def _compare(sign: str, left: Closure, right: Closure) -> Closure:
    relation = _RELATIONS[sign]

    def closure(row: Mapping[str, Scalar]) -> Scalar:
        a, b = left(row), right(row)
        if a is None or b is None:
            return None
        if kind_of(a) != kind_of(b):
            raise ExpressionError(
                f"`{sign}` compares a {kind_of(a)} with a {kind_of(b)}", "texts that hold numbers are not converted"
            )
        return float(relation(a, b))

    return closure


def _not(part: Closure) -> Closure:
    def closure(row: Mapping[str, Scalar]) -> Scalar:
        value = as_number(part(row), "not")
        return None if value is None else float(value == 0)

    return closure


def _logic(word: str, parts: tuple[Closure, ...]) -> Closure:
    """Kleene's ``and`` / ``or``. All parts are evaluated, so that a wrong kind is refused as in a table."""
    settled = 1.0 if word == "or" else 0.0

    def closure(row: Mapping[str, Scalar]) -> Scalar:
        values = [as_number(part(row), word) for part in parts]
        if any(value is not None and bool(value) == bool(settled) for value in values):
            return settled
        return None if None in values else 1.0 - settled

    return closure
