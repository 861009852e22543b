"""The text of an expression in, its tokens out, each with its position; refuses characters outside the language.

Numbers may carry a duration unit (``30m``, ``1d``, ``1d12h``) and then mean seconds. Text stands in single or double
quotes, a doubled quote being one quote. Names that are not plain words are back-quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from riskml.errors import ExpressionError

MAX_LENGTH = 10_000

TokenKind = Literal["number", "text", "name", "quoted", "keyword", "mark", "end"]

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
UNIT_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_UNIT = re.compile(r"(us|ms|s|m|h|d|w)(?![^\W\d_])")
_WORD = re.compile(r"[^\W\d]\w*")
_MARK = re.compile(r"==|!=|<=|>=|[-+*/<>(),.]")
_HINTS = {
    "=": "write `==` to compare",
    "<>": "write `!=`",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=`",
    "[": "indexing is not part of the language",
    "{": "only column names, numbers, texts and the named functions may appear",
    ":": "only column names, numbers, texts and the named functions may appear",
    "%": "there is no remainder operator",
    "^": "there are no powers; multiply instead",
    ";": "one expression only",
}


@dataclass(frozen=True)
class Token:
    """One token: ``text`` as meant (quotes removed), ``value`` of a number, ``at`` counted from 0."""

    kind: TokenKind
    text: str
    at: int
    value: float = 0.0


def fail(source: str, at: int, message: str, hint: str = "") -> NoReturn:
    """Raise the one error of this language: what, where (from 1) and an excerpt of at most 60 characters."""
    start = max(0, at - 30)
    excerpt = source[start : start + 60].replace("\n", " ")
    excerpt = ("…" if start else "") + excerpt + ("…" if start + 60 < len(source) else "")
    raise ExpressionError(f"{message} at position {at + 1} of `{excerpt}`", hint)


def tokenize(source: str) -> list[Token]:
    """All tokens of ``source``, ending with one of kind ``end``.

    Raises:
        ExpressionError: the text is empty, longer than ``MAX_LENGTH`` or holds a character outside the language.
    """
    if len(source) > MAX_LENGTH:
        fail(source, MAX_LENGTH, f"the expression is longer than {MAX_LENGTH} characters", "split it into parts")
    tokens: list[Token] = []
    at = _skip(source, 0)
    while at < len(source):
        token, at = _next(source, at)
        tokens.append(token)
        at = _skip(source, at)
    if not tokens:
        fail(source, 0, "the expression is empty")
    tokens.append(Token("end", "the end", len(source)))
    return tokens


def _skip(source: str, at: int) -> int:
    found = _SPACE.match(source, at)
    return found.end() if found else at


def _next(source: str, at: int) -> tuple[Token, int]:
    character = source[at]
    if character in "'\"":
        return _quoted(source, at, "text")
    if character == "`":
        return _quoted(source, at, "quoted")
    if found := _NUMBER.match(source, at):
        return _number(source, at, found)
    if found := _WORD.match(source, at):
        word = found.group()
        if word.lower() in KEYWORDS:
            return Token("keyword", word.lower(), at), found.end()
        return Token("name", word, at), found.end()
    if source.startswith("<>", at):
        fail(source, at, "unknown operator `<>`", _HINTS["<>"])
    if found := _MARK.match(source, at):
        return Token("mark", found.group(), at), found.end()
    return fail(source, at, f"unexpected character `{character}`", _HINTS.get(character, ""))


def _quoted(source: str, at: int, kind: TokenKind) -> tuple[Token, int]:
    quote = source[at]
    parts: list[str] = []
    start = at + 1
    while True:
        end = source.find(quote, start)
        if end < 0:
            fail(source, at, "an opening quote is never closed", f"close it with {quote}")
        parts.append(source[start:end])
        if source[end + 1 : end + 2] != quote:
            break
        parts.append(quote)
        start = end + 2
    text = "".join(parts)
    if kind == "quoted" and not text:
        fail(source, at, "an empty column name")
    return Token(kind, text, at), end + 1


def _number(source: str, at: int, found: re.Match[str]) -> tuple[Token, int]:
    """A number, or a chain of numbers with units (``1d12h``), in seconds then."""
    value = float(found.group())
    end = found.end()
    unit = _UNIT.match(source, end)
    if unit:
        value *= UNIT_SECONDS[unit.group()]
        end = unit.end()
        while (more := _NUMBER.match(source, end)) and (unit := _UNIT.match(source, more.end())):
            value += float(more.group()) * UNIT_SECONDS[unit.group()]
            end = unit.end()
    if _WORD.match(source, end) or _NUMBER.match(source, end):
        fail(source, at, "a number runs into the next word", "durations end in us, ms, s, m, h, d or w, such as 30m")
    if value == float("inf"):
        fail(source, at, "the number is too large")
    return Token("number", source[at:end], at, value), end
