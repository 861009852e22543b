"""Tokens in, a tree of frozen nodes out, by precedence climbing; refuses anything outside the grammar.

From loosest to tightest: ``or``, ``and``, ``not``, one comparison (``== != < <= > >=``, ``in``, ``is null``), ``+ -``,
``* /``, unary ``-``. Comparisons do not chain. Depth is bounded, so that no text can exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from riskml.errors import near_matches
from riskml.expression.functions import FUNCTIONS, zone_exists
from riskml.expression.tokens import Token, fail, tokenize
from riskml.expression.values import EVENT_TIME, Kind

MAX_NESTING = 64
MAX_DEPTH = 200

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True)
class Number:
    """A literal number; durations are seconds."""

    value: float


@dataclass(frozen=True)
class Text:
    """A literal text."""

    value: str


@dataclass(frozen=True)
class Null:
    """The literal ``null``."""


@dataclass(frozen=True)
class Column:
    """A column by name; ``event.NAME`` is a column of the current event."""

    name: str


@dataclass(frozen=True)
class Negate:
    """Unary minus."""

    part: Node


@dataclass(frozen=True)
class Arithmetic:
    """``+ - * /`` of two numbers; times subtract to seconds and move by seconds."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare:
    """``== != < <= > >=``."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Logic:
    """``and`` or ``or`` over two or more parts."""

    word: str
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """Logical negation."""

    part: Node


@dataclass(frozen=True)
class Member:
    """``part in (items)``, with SQL's nulls."""

    part: Node
    items: tuple[Node, ...]


@dataclass(frozen=True)
class IsNull:
    """``part is null``: never null itself."""

    part: Node


@dataclass(frozen=True)
class Call:
    """A named function."""

    name: str
    parts: tuple[Node, ...]


Node = Number | Text | Null | Column | Negate | Arithmetic | Compare | Logic | Not | Member | IsNull | Call


def children(node: Node) -> tuple[Node, ...]:
    """The direct parts of a node, left to right."""
    match node:
        case Negate(part) | Not(part) | IsNull(part):
            return (part,)
        case Arithmetic(_, left, right) | Compare(_, left, right):
            return (left, right)
        case Logic(_, parts) | Call(_, parts):
            return parts
        case Member(part, items):
            return (part, *items)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def passed_on(node: Node) -> Iterator[str]:
    """Columns whose values, or texts made of them, may be the node's own value; numbers that are computed hide them."""
    match node:
        case Column(name):
            yield name
        case Call(name, parts) if FUNCTIONS[name].result in ("text", None):
            for part in parts[1:] if name == "if_else" else parts:
                yield from passed_on(part)


def static_kind(node: Node) -> Kind | None:
    """What a node is known to be before any data is seen; None: it depends on the columns."""
    match node:
        case Text():
            return "text"
        case Number() | Negate() | Compare() | Logic() | Not() | Member() | IsNull():
            return "number"
        case Call(name, _):
            return FUNCTIONS[name].result
        case Column(name) if name == EVENT_TIME:
            return "time"
        case _:
            return None


def parse_tree(source: str) -> Node:
    """The tree of an expression.

    Raises:
        ExpressionError: anything outside the grammar, with its position.
    """
    parser = _Parser(source)
    node = parser.either(0)
    if parser.here.kind != "end":
        parser.unexpected()
    return node


class _Parser:
    """One pass over the tokens; every method returns the tree of what it consumed."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.index = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def take(self, *texts: str) -> Token | None:
        """The current token if it is one of these marks or keywords."""
        token = self.here
        if token.kind in ("mark", "keyword") and token.text in texts:
            self.index += 1
            return token
        return None

    def expect(self, text: str, hint: str = "") -> None:
        if self.take(text) is None:
            fail(self.source, self.here.at, f"expected `{text}`, found `{self.here.text[:40]}`", hint)

    def unexpected(self) -> None:
        token = self.here
        hint = ""
        if token.text == ".":
            hint = "attributes are not part of the language; only `event.COLUMN` takes a dot"
        elif token.kind in ("name", "quoted", "number", "text"):
            hint = "an operator is missing before it"
        elif token.text == "not":
            hint = "write `not` before the whole comparison, or `not in`"
        fail(self.source, token.at, f"unexpected `{token.text[:40]}`", hint)

    def deeper(self, nesting: int, at: int) -> int:
        if nesting >= MAX_NESTING:
            fail(self.source, at, f"nested deeper than {MAX_NESTING} levels", "derive a part under its own name first")
        return nesting + 1

    def logical(self, node: Node, at: int) -> Node:
        if static_kind(node) in ("text", "time"):
            fail(self.source, at, "a text or time stands where true or false is needed", "compare it with something")
        return node

    def either(self, nesting: int) -> Node:
        return self._chain("or", nesting)

    def _chain(self, word: str, nesting: int) -> Node:
        at = self.here.at
        parts = [self._link(word, nesting)]
        while self.take(word):
            start = self.here.at
            parts.append(self.logical(self._link(word, nesting), start))
        if len(parts) == 1:
            return parts[0]
        self.logical(parts[0], at)
        return Logic(word, tuple(parts))

    def _link(self, word: str, nesting: int) -> Node:
        return self._chain("and", nesting) if word == "or" else self.negation(nesting)

    def negation(self, nesting: int) -> Node:
        token = self.take("not")
        if token is None:
            return self.comparison(nesting)
        at = self.here.at
        return Not(self.logical(self.negation(self.deeper(nesting, token.at)), at))

    def comparison(self, nesting: int) -> Node:
        left = self.sum(nesting)
        node = self._compared(left, nesting)
        chained = self.here.kind in ("mark", "keyword") and self.here.text in _COMPARISONS | {"is", "in"}
        if node is not left and chained:
            fail(self.source, self.here.at, "comparisons do not chain", "write `a < b and b < c`, or add brackets")
        return node

    def _compared(self, left: Node, nesting: int) -> Node:
        token = self.here
        if self.take(*_COMPARISONS):
            right = self.sum(nesting)
            self._comparable(token, left, right)
            return Compare(token.text, left, right)
        if self.take("is"):
            negated = self.take("not") is not None
            self.expect("null", "only `is null` and `is not null` exist")
            return Not(IsNull(left)) if negated else IsNull(left)
        if token.kind == "keyword" and token.text == "not" and self.tokens[self.index + 1].text == "in":
            self.index += 2
            return Not(self._member(token, left, nesting))
        if self.take("in"):
            return self._member(token, left, nesting)
        return left

    def _comparable(self, token: Token, left: Node, right: Node) -> None:
        if isinstance(left, Null) or isinstance(right, Null):
            fail(self.source, token.at, f"`{token.text} null` is never true", "write `is null` or `is not null`")
        kinds = {static_kind(left), static_kind(right)} - {None}
        if len(kinds) > 1:
            words = " with a ".join(sorted(str(kind) for kind in kinds))
            fail(self.source, token.at, f"compares a {words}", "texts that hold numbers are not converted")

    def _member(self, token: Token, left: Node, nesting: int) -> Node:
        self.expect("(", "write `in (a, b)`")
        items: list[Node] = []
        while True:
            items.append(self.sum(self.deeper(nesting, token.at)))
            if not isinstance(items[-1], Null):
                self._comparable(token, left, items[-1])
            if not self.take(","):
                break
        self.expect(")")
        return Member(left, tuple(items))

    def sum(self, nesting: int) -> Node:
        return self._binary(("+", "-"), nesting)

    def _binary(self, signs: tuple[str, str], nesting: int) -> Node:
        low = signs == ("+", "-")
        left = self._binary(("*", "/"), nesting) if low else self.unary(nesting)
        links = 0
        while token := self.take(*signs):
            right = self._binary(("*", "/"), nesting) if low else self.unary(nesting)
            for part in (left, right):
                self._numeric(token, part)
            left = Arithmetic(token.text, left, right)
            links += 1
            if links > MAX_DEPTH // 2:
                fail(self.source, token.at, f"more than {MAX_DEPTH // 2} terms in one chain", "derive a part first")
        return left

    def _numeric(self, token: Token, part: Node) -> None:
        if static_kind(part) == "text":
            hint = "join texts with concat(a, b)" if token.text == "+" else "texts that hold numbers are not converted"
            fail(self.source, token.at, f"`{token.text}` needs numbers and meets a text", hint)

    def unary(self, nesting: int) -> Node:
        token = self.take("-", "+")
        if token is None:
            return self.primary(nesting)
        part = self.unary(self.deeper(nesting, token.at))
        self._numeric(token, part)
        if token.text == "+":
            return part
        return Number(-part.value) if isinstance(part, Number) else Negate(part)

    def primary(self, nesting: int) -> Node:
        token = self.here
        self.index += 1
        if token.kind == "number":
            return Number(token.value)
        if token.kind == "text":
            return Text(token.text)
        if token.kind in ("name", "quoted"):
            return self._named(token, nesting)
        if token.text == "null":
            return Null()
        if token.text in ("true", "false"):
            return Number(1.0 if token.text == "true" else 0.0)
        if token.text == "(" and token.kind == "mark":
            node = self.either(self.deeper(nesting, token.at))
            self.expect(")", "a bracket is not closed")
            return node
        self.index -= 1
        self.unexpected()
        raise AssertionError("unreachable")

    def _named(self, token: Token, nesting: int) -> Node:
        if token.kind == "quoted":
            if token.text.startswith("event."):
                fail(self.source, token.at, "a column name cannot begin with `event.`", "rename the column")
            return Column(token.text)
        if token.text == "event" and self.take("."):
            part = self.here
            if part.kind not in ("name", "quoted", "keyword"):
                self.unexpected()
            self.index += 1
            return Column(f"event.{part.text}")
        if self.take("("):
            return self._call(token, nesting)
        return Column(token.text)

    def _call(self, token: Token, nesting: int) -> Node:
        name = token.text
        if name not in FUNCTIONS:
            known = ", ".join(sorted(FUNCTIONS))
            hint = near_matches(name, FUNCTIONS) or f"the functions are {known}"
            fail(self.source, token.at, f"unknown function `{name[:40]}`", hint)
        parts: list[Node] = []
        starts: list[int] = []
        if not self.take(")"):
            while True:
                starts.append(self.here.at)
                parts.append(self.either(self.deeper(nesting, token.at)))
                if not self.take(","):
                    break
            self.expect(")", f"a bracket of {name}(…) is not closed")
        self._check_call(token, parts, starts)
        if name == "age" and len(parts) == 1:
            parts.append(Column(EVENT_TIME))
        return Call(name, tuple(parts))

    def _check_call(self, token: Token, parts: list[Node], starts: list[int]) -> None:
        function = FUNCTIONS[token.text]
        if not function.least <= len(parts) <= function.most:
            fail(self.source, token.at, f"{token.text} is given {len(parts)} values", f"write {function.usage}")
        for index, (part, at) in enumerate(zip(parts, starts, strict=True)):
            wanted, found = function.wanted(index), static_kind(part)
            fits = wanted is None or found is None or found == wanted or (wanted, found) == ("time", "number")
            if not fits:
                message = f"{token.text} needs a {wanted} and is given a {found}"
                fail(self.source, at, message, f"write {function.usage}")
        if token.text == "if_else":
            self.logical(parts[0], starts[0])
        if token.text in ("if_else", "coalesce"):
            kinds = {static_kind(part) for part in parts[token.text == "if_else" :]} - {None}
            if len(kinds) > 1:
                fail(self.source, token.at, f"{token.text} mixes texts, numbers or times", "give values of one kind")
        if token.text == "local_hour" and isinstance(parts[1], Text) and not zone_exists(parts[1].value):
            fail(self.source, starts[1], f"unknown time zone `{parts[1].value[:40]}`", "write a name such as UTC")


def depth(node: Node) -> int:
    """Number of levels of the tree, counted without recursion."""
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [child for part in level for child in children(part)]
    return deepest
