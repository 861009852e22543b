"""Steps of a walk through a tree at eight points at once, each one vector of machine code.

In go places of an array of float64 that begins with t and 1-t at the eight points, and shares of training rows; out
come the values of a step, in the array. Compilers find no vectors by themselves in so short a loop, so the steps are
written in the compiler's own language, which splits the vectors where a machine's are shorter. Refuses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic as numba_intrinsic

POINTS = 8
DOUBLE, INDEX = ir.DoubleType(), ir.IntType(64)
VECTOR = ir.VectorType(DOUBLE, POINTS)


def intrinsic(function: Callable[..., Any]) -> Callable[..., None]:
    """Numba's decorator: what it makes is called without the first argument."""
    return cast(Callable[..., None], numba_intrinsic(function))


class Vectors:
    """Operations on eight numbers of an array of float64."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any) -> None:
        self.builder = builder
        self.start = context.make_array(kind)(context, builder, array).data

    def __getitem__(self, at: Any) -> Any:
        """The eight numbers from ``at``."""
        return self.builder.load(self._place(at), align=8)

    def __setitem__(self, at: Any, value: Any) -> None:
        self.builder.store(value, self._place(at), align=8)

    def _place(self, at: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(self.start, [at]), VECTOR.as_pointer())

    def all(self, number: Any) -> Any:
        """One number eight times."""
        nothing = ir.Constant(VECTOR, ir.Undefined)
        one = self.builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(
            one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), POINTS), [0] * POINTS)
        )

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def plus(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def agrees(self, share: Any) -> Any:
        """The factor z(1-t)+t of a feature that agrees with the row."""
        return self.plus(self.differs(share), self[ir.Constant(INDEX, 0)])

    def differs(self, share: Any) -> Any:
        """The factor z(1-t) of a feature that does not."""
        return self.times(self.all(share), self[ir.Constant(INDEX, POINTS)])

    def inverse(self, share: Any) -> Any:
        """1 / (z(1-t)+t)."""
        return self.builder.fdiv(self.all(ir.Constant(DOUBLE, 1.0)), self.agrees(share))

    def gain(self, share: Any, hot: Any, z_hot: Any, cold: Any, z_cold: Any) -> Any:
        """(share - z) times the side the row went, less z times the other."""
        won = self.times(self.all(self.builder.fsub(share, z_hot)), self[hot])
        return self.builder.fsub(won, self.times(self.all(z_cold), self[cold]))


def step(places: int, numbers: int, room: Any, body: Callable[..., None]) -> tuple[Any, Any]:
    """Type and code of a step over the array ``room``: of places in it, then of numbers."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        body(Vectors(context, builder, signature.args[0], args[0]), *args[1:])
        return context.get_dummy_value()

    return types.void(room, *[types.int64] * places, *[types.float64] * numbers), code


@intrinsic
def fill(typing: Any, room: Any, at: Any, number: Any) -> Any:
    """room[at] = number."""

    def body(v: Vectors, at: Any, number: Any) -> None:
        v[at] = v.all(number)

    return step(1, 1, room, body)


@intrinsic
def down(typing: Any, room: Any, node: Any, hot: Any, cold: Any, z_hot: Any, z_cold: Any) -> Any:
    """Products of factors above the two children of a node whose feature is new on the path."""

    def body(v: Vectors, node: Any, hot: Any, cold: Any, z_hot: Any, z_cold: Any) -> None:
        above = v[node]
        v[hot] = v.times(above, v.agrees(z_hot))
        v[cold] = v.times(above, v.differs(z_cold))

    return step(3, 2, room, body)


@intrinsic
def down_again(typing: Any, room: Any, node: Any, hot: Any, cold: Any, z_hot: Any, z_cold: Any, z: Any) -> Any:
    """As ``down`` for a feature that was asked before and agreed, with share ``z``."""

    def body(v: Vectors, node: Any, hot: Any, cold: Any, z_hot: Any, z_cold: Any, z: Any) -> None:
        above = v.times(v[node], v.inverse(z))
        v[hot] = v.times(above, v.agrees(z_hot))
        v[cold] = v.times(above, v.differs(z_cold))

    return step(3, 3, room, body)


@intrinsic
def down_apart(typing: Any, room: Any, node: Any, left: Any, right: Any, a: Any, b: Any) -> Any:
    """As ``down`` for a feature that was asked before and differed: plain shares."""

    def body(v: Vectors, node: Any, left: Any, right: Any, a: Any, b: Any) -> None:
        above = v[node]
        v[left] = v.times(above, v.all(a))
        v[right] = v.times(above, v.all(b))

    return step(3, 2, room, body)


@intrinsic
def up(typing: Any, room: Any, node: Any, hot: Any, cold: Any, above: Any, total: Any, z_hot: Any, z_cold: Any) -> Any:
    """Values below a node from those below its children; the feature's part is added to ``total``."""

    def body(v: Vectors, node: Any, hot: Any, cold: Any, above: Any, total: Any, z_hot: Any, z_cold: Any) -> None:
        one = ir.Constant(DOUBLE, 1.0)
        v[total] = v.plus(v[total], v.times(v[above], v.gain(one, hot, z_hot, cold, z_cold)))
        v[node] = v.plus(v.times(v.agrees(z_hot), v[hot]), v.times(v.differs(z_cold), v[cold]))

    return step(5, 2, room, body)


@intrinsic
def up_again(
    typing: Any, room: Any, node: Any, hot: Any, cold: Any, above: Any, total: Any, z_hot: Any, z_cold: Any, z: Any
) -> Any:
    """As ``up`` for a feature that was asked before and agreed, with share ``z``."""

    def body(
        v: Vectors, node: Any, hot: Any, cold: Any, above: Any, total: Any, z_hot: Any, z_cold: Any, z: Any
    ) -> None:
        inverse = v.inverse(z)
        part = v.times(v.times(inverse, inverse), v.gain(z, hot, z_hot, cold, z_cold))
        v[total] = v.plus(v[total], v.times(v[above], part))
        both = v.plus(v.times(v.agrees(z_hot), v[hot]), v.times(v.differs(z_cold), v[cold]))
        v[node] = v.times(inverse, both)

    return step(5, 3, room, body)


@intrinsic
def up_apart(typing: Any, room: Any, node: Any, left: Any, right: Any, a: Any, b: Any) -> Any:
    """As ``up`` for a feature that was asked before and differed, which adds nothing to it."""

    def body(v: Vectors, node: Any, left: Any, right: Any, a: Any, b: Any) -> None:
        v[node] = v.plus(v.times(v.all(a), v[left]), v.times(v.all(b), v[right]))

    return step(3, 2, room, body)
