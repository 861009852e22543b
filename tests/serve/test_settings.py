"""Settings: what does not fit together is refused before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskml.errors import UsageError
from riskml.serve.settings import Limits, Settings, read_limits, read_token

RELEASE = Path("a.riskml")
TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ramp": 0.1}, "with a challenger"),
        ({"ramp": 0.1, "challenger": RELEASE}, "without a decision log"),
        ({"ramp": 1.5}, "between 0 and 1"),
        ({"reasons": 21}, "0 to 20 reasons"),
        ({"host": "0.0.0.0"}, "anyone who reaches"),
        ({"host": "example.org"}, "anyone who reaches"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, object], words: str) -> None:
    """Each with its own words."""
    with pytest.raises(UsageError, match=words):
        Settings(RELEASE, **given)  # type: ignore[arg-type]


def test_a_public_address_needs_a_token() -> None:
    """With one it is fine; loopback needs none; the token is never shown."""
    settings = Settings(RELEASE, host="0.0.0.0", token=TOKEN)
    assert TOKEN not in repr(settings)
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        Settings(RELEASE, host=host)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """The file wins; short ones, blanks and missing files are refused, and no message holds the token."""
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert read_token(path, {"RISKML_TOKEN": "x" * 20}) == TOKEN
    assert read_token(None, {"RISKML_TOKEN": TOKEN}) == TOKEN and read_token(None, {}) is None
    for bad in ("short", "two words are no token", "ümlaut-ümlaut-ümlaut"):
        path.write_text(bad)
        with pytest.raises(UsageError) as caught:
            read_token(path, {})
        assert bad not in caught.value.message
    with pytest.raises(UsageError, match="cannot read"):
        read_token(tmp_path / "none", {})


def test_limits_are_read_by_name() -> None:
    """Each keeps its kind; unknown names and values that are none are refused."""
    assert read_limits(["body=10", "head_seconds=2.5"]) == Limits(body=10, head_seconds=2.5)
    for words, said in (
        ("boddy=1", "no limit `boddy`"),
        ("body=x", "no int"),
        ("body=-1", "no int"),
        ("body", "no int"),
    ):
        with pytest.raises(UsageError, match=said):
            read_limits([words])
