"""Options whose value may be left out, which Typer does not know: ``--vs-rule`` alone, or ``--vs-rule FILE``.

In go the words of a command line; out come the same words with the value spelled out: ``--vs-rule=`` means none was
given. A word that follows is the value, unless it is the only argument the command still has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["spelled"]

VALUED = {"--runs", "--set", "--vs-champion", "--junit"}  # options of `backtest` that take the next word


def spelled(words: Sequence[str], option: str = "--vs-rule", valued: Collection[str] = frozenset(VALUED)) -> list[str]:
    """``words`` with ``option`` holding its value, empty where it has none.

    >>> spelled(["backtest", "ato.toml", "--vs-rule"])
    ['backtest', 'ato.toml', '--vs-rule=']
    >>> spelled(["backtest", "--vs-rule", "ato.toml"])
    ['backtest', '--vs-rule=', 'ato.toml']
    >>> spelled(["backtest", "ato.toml", "--vs-rule", "night.txt"])
    ['backtest', 'ato.toml', '--vs-rule=night.txt']
    """
    at = [i for i, word in enumerate(words) if word == option]
    if not at or "--" in words[: at[0]]:
        return list(words)
    out = list(words[: at[0]])
    rest = list(words[at[0] + 1 :])
    alone = len(_arguments([*out, *rest], valued)) < 3  # the command, its recipe and nothing else
    value = "" if alone or not rest or rest[0].startswith("-") else rest.pop(0)
    return [*out, f"{option}={value}", *rest]


def _arguments(words: Sequence[str], valued: Collection[str]) -> list[str]:
    """The words that are neither options nor values of options."""
    found, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-"):
            found.append(word)
    return found
