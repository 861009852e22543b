"""Signatures: who made a release, and what is refused where that matters."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from riskml.errors import ReleaseError, UsageError
from riskml.release.archive import SIGNATURE
from riskml.release.manifest import canonical_json
from riskml.release.sign import UNSIGNED, Keys, check, fingerprint, new_keys, public_of, sign

MANIFEST = b'{"a": 1}\n'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A pair of keys."""
    return new_keys(tmp_path_factory.mktemp("keys") / "mine", "team")


def signed(keys: Keys) -> dict[str, bytes]:
    """The files of a release as far as a signature is concerned."""
    return {"manifest.json": MANIFEST, SIGNATURE: sign(MANIFEST, keys.private)}


def test_keys_are_private_and_never_overwritten(keys: Keys, tmp_path: Path) -> None:
    """Only the owner reads the private key, Git ignores it, and a second pair of the same name is refused."""
    assert stat.S_IMODE(keys.private.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.public.stat().st_mode) == 0o644
    assert (keys.private.parent / ".gitignore").read_text() == "*.key\n"
    before = keys.private.read_bytes(), keys.public.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        new_keys(keys.private.parent, "team")
    assert (keys.private.read_bytes(), keys.public.read_bytes()) == before
    (tmp_path / "riskml.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="never overwritten"):
        new_keys(tmp_path)
    assert not (tmp_path / "elsewhere").exists() and not (tmp_path / "riskml.pub").exists()


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    """A folder that cannot be written, or a name that is none, is one error and no file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write keys"):
        new_keys(tmp_path / "file" / "sub")
    for name in ("../up", "", "a/b", "x" * 70):
        with pytest.raises(UsageError, match="cannot name a key"):
            new_keys(tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_other_tools_agree(keys: Keys) -> None:
    """The signature is plain Ed25519 over the manifest's bytes, in canonical JSON, the same each time."""
    raw = sign(MANIFEST, keys.private)
    body = json.loads(raw)
    assert raw == canonical_json(body) == sign(MANIFEST, keys.private.read_bytes())
    public = serialization.load_pem_public_key(keys.public.read_bytes())
    assert isinstance(public, ed25519.Ed25519PublicKey)
    assert public.public_bytes_raw().hex() == body["public_key"] == public_of(keys.private).hex()
    public.verify(bytes.fromhex(body["signature"]), MANIFEST)


def test_who_signed_is_said(keys: Keys) -> None:
    """A trusted signature names its key; without one there is integrity only."""
    said = f"signed by {keys.fingerprint}"
    for trust in (None, keys.public, str(keys.public), keys.public.read_bytes()):
        assert check(signed(keys), MANIFEST, trust) == said
    assert check({"manifest.json": MANIFEST}, MANIFEST) == UNSIGNED
    assert keys.fingerprint == fingerprint(public_of(keys.private)) and len(keys.fingerprint) == 32


def test_old_and_new_key_are_trusted_side_by_side(keys: Keys, tmp_path: Path) -> None:
    """A file of several public keys trusts each of them, whatever is written between them."""
    other = new_keys(tmp_path / "new")
    both = b"old:\n" + keys.public.read_bytes() + b"new:\n" + other.public.read_bytes()
    assert check(signed(keys), MANIFEST, both) == f"signed by {keys.fingerprint}"
    assert check(signed(other), MANIFEST, both) == f"signed by {other.fingerprint}"


def test_stripped_and_swapped_signatures_are_refused(keys: Keys, tmp_path: Path) -> None:
    """Under trust a release without a signature, by another key, or of another manifest is refused."""
    other = new_keys(tmp_path / "other")
    with pytest.raises(ReleaseError, match="unsigned"):
        check({"manifest.json": MANIFEST}, MANIFEST, keys.public)
    with pytest.raises(ReleaseError, match=f"signed by {other.fingerprint}, which is not trusted") as caught:
        check(signed(other), MANIFEST, keys.public)
    assert keys.fingerprint in caught.value.hint
    mixed = json.loads(signed(other)[SIGNATURE]) | {"public_key": public_of(keys.private).hex()}
    for files in ({SIGNATURE: sign(b"other\n", keys.private)}, {SIGNATURE: canonical_json(mixed)}):
        for trust in (None, keys.public):
            with pytest.raises(ReleaseError, match="does not fit"):
                check(files, MANIFEST, trust)


def test_every_altered_character_of_a_signature_is_seen(keys: Keys) -> None:
    """No character can be altered, even where the archive's own checksums agree; a second spelling is refused."""
    raw = signed(keys)[SIGNATURE]
    for at in range(len(raw)):
        for flip in (1, 2, 32):
            altered = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
            with pytest.raises(ReleaseError):
                check({SIGNATURE: altered}, MANIFEST)
    for other in (raw + b"\n", raw[:-1], raw.replace(b" ", b""), b"", b"[]", b"{}", raw.upper()):
        with pytest.raises(ReleaseError):
            check({SIGNATURE: other}, MANIFEST)
    order = 2**252 + 27742317777372353535851937790883648493  # S + L is the same number to a careless reader
    body = json.loads(raw)
    half, number = body["signature"][:64], int.from_bytes(bytes.fromhex(body["signature"][64:]), "little")
    body["signature"] = half + (number + order).to_bytes(32, "little").hex()
    with pytest.raises(ReleaseError, match="does not fit"):
        check({SIGNATURE: canonical_json(body)}, MANIFEST)


def test_keys_of_the_wrong_kind_are_named(keys: Keys, tmp_path: Path) -> None:
    """The private key in place of the public one, or the reverse, or no key at all, is a usage error with a way out."""
    curve = ec.generate_private_key(ec.SECP256R1())
    to = serialization
    foreign = curve.public_key().public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
    own = curve.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(
        to.Encoding.PEM, to.PrivateFormat.PKCS8, to.BestAvailableEncryption(b"x")
    )
    broken = keys.public.read_bytes().replace(b"MCow", b"MCox")
    for trust, words in (
        (keys.private, "private key"),
        (b"", "no public key"),
        (foreign, "Ed25519"),
        (broken, "cannot be read"),
        (tmp_path / "none.pub", "cannot read the key"),
        (tmp_path, "cannot read the key"),
    ):
        with pytest.raises(UsageError, match=words):
            check(signed(keys), MANIFEST, trust)
        with pytest.raises(UsageError, match=words):
            check({}, MANIFEST, trust)
    for key, words in (
        (keys.public, "public key"),
        (b"", "no private key"),
        (own, "Ed25519"),
        (locked, "password"),
        (tmp_path / "none.key", "cannot read the key"),
    ):
        with pytest.raises(UsageError, match=words):
            sign(MANIFEST, key)


def test_cryptography_loads_only_when_used() -> None:
    """An unsigned release is checked without loading it."""
    code = (
        "import sys; from riskml.release.sign import check; check({}, b'')\n"
        "assert not [m for m in sys.modules if m.startswith('cryptography')]"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(root)}, timeout=120)
