"""Who made a release: an Ed25519 signature over the bytes of its manifest, kept as the archive's last entry.

In go a manifest and a private key, or the files of a release and the public keys somebody trusts; out come the
contents of ``signature.json``, or one phrase that says who signed. The manifest lists every other file by hash, so the
signature covers the whole release. A signature that does not fit is refused always; an unsigned release and one signed
by a key that is not trusted are refused where trust was asked for. ``cryptography`` is loaded only when there is
something to sign or to check. Keys are PEM files as OpenSSL reads them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.errors import ReleaseError, UsageError
from riskml.release.archive import SIGNATURE
from riskml.release.manifest import canonical_json, parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "UNSIGNED",
    "Keys",
    "Trust",
    "UntrustedError",
    "check",
    "fingerprint",
    "new_keys",
    "public_of",
    "read_key",
    "sign",
]


Trust = str | Path | bytes | None  # a file of public keys, its contents, or no question of trust

SCHEMA = "riskml.signature/1"
UNSIGNED = "unsigned: integrity only"
_MOST = 64 * 1024  # bytes of a key file
_HEX = {"public_key": re.compile("[0-9a-f]{64}"), "signature": re.compile("[0-9a-f]{128}")}
_BLOCK = re.compile(b"-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NEW = "`riskml keys new` makes a pair"


class UntrustedError(ReleaseError):
    """The release is not signed by a key that is trusted."""


@dataclass(frozen=True)
class Keys:
    """A new pair of key files, and how everybody calls the public one."""

    private: Path
    public: Path
    fingerprint: str


def new_keys(folder: Path, name: str = "riskml") -> Keys:
    """Make ``NAME.key`` (private, readable by its owner alone) and ``NAME.pub`` in ``folder``; overwrite nothing.

    A folder made here also tells Git to leave private keys alone.

    Raises:
        UsageError: one of the files exists, the name is none, or the folder cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` cannot name a key", "use letters, digits, `-` and `_`, at most 64")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())
    public = key.public_key().public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
    paths = folder / f"{name}.key", folder / f"{name}.pub"
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UsageError(f"`{path}` exists and a key is never overwritten", "choose another --name or folder")
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / ".gitignore").write_text("*.key\n", encoding="ascii")
        _create(paths[0], secret, 0o600)
        try:
            _create(paths[1], public, 0o644)
        except OSError:
            paths[0].unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write keys in `{folder}`: {error.strerror or error}", "choose another one") from None
    return Keys(*paths, fingerprint(_raw_public(key)))


def sign(manifest: bytes, key: str | Path | bytes) -> bytes:
    """The contents of ``signature.json`` for these bytes of a manifest; the same key gives the same signature.

    Args:
        manifest: ``manifest.json`` exactly as it is in the archive.
        key: a file with a private key, or its contents.

    Raises:
        UsageError: no such key, or not a private Ed25519 key in PEM.
    """
    private = _private(key)
    body = {"schema": SCHEMA, "algorithm": "Ed25519", "public_key": _raw_public(private).hex()}
    return canonical_json(body | {"signature": private.sign(manifest).hex()})


def check(files: Mapping[str, bytes], manifest: bytes, trust: Trust = None) -> str:
    """Who signed: "signed by <fingerprint>", or "unsigned: integrity only".

    Without ``trust`` a signature proves only that the manifest is the one its own key signed.

    Raises:
        ReleaseError: the signature does not fit.
        UntrustedError: with ``trust``, there is no signature or it is not by a trusted key.
        UsageError: ``trust`` holds no public keys.
    """
    trusted = None if trust is None else _public_keys(trust)
    raw = files.get(SIGNATURE)
    if raw is None:
        if trusted is not None:
            raise UntrustedError("the release is unsigned", "`riskml package --sign KEY` signs one")
        return UNSIGNED
    public, signature = _parse(raw)
    if trusted is not None and public not in trusted:
        known = " or ".join(fingerprint(one) for one in trusted)
        message = f"the release is signed by {fingerprint(public)}, which is not trusted"
        raise UntrustedError(message, f"trusted: {known}")
    _verify(public, signature, manifest)
    return f"signed by {fingerprint(public)}"


def fingerprint(public: bytes) -> str:
    """The name of a public key: the first 32 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:32]


def public_of(key: str | Path | bytes) -> bytes:
    """The public key [32 bytes] that belongs to a private one."""
    return _raw_public(_private(key))


def _parse(raw: bytes) -> tuple[bytes, bytes]:
    """Public key and signature of ``signature.json``; only its canonical form is read."""
    body = parse_json(SIGNATURE, raw)
    fits = body.get("schema") == SCHEMA and body.get("algorithm") == "Ed25519" and len(body) == 4
    values = [body.get(name) for name in _HEX]
    if not fits or not all(
        isinstance(value, str) and form.fullmatch(value) for value, form in zip(values, _HEX.values(), strict=True)
    ):
        raise ReleaseError(f"`{SIGNATURE}` is no signature this riskml can read", "upgrade riskml, or sign it again")
    if canonical_json(body) != raw:
        raise ReleaseError(f"`{SIGNATURE}` is not written the way riskml writes it")
    public, signature = (bytes.fromhex(str(value)) for value in values)
    return public, signature


def _verify(public: bytes, signature: bytes, manifest: bytes) -> None:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise UsageError("signatures need the package `cryptography`", "`pip install cryptography`") from None
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, manifest)
    except (InvalidSignature, ValueError):
        raise ReleaseError("the signature does not fit `manifest.json`", "get the release from its source") from None


def _public_keys(trust: str | Path | bytes) -> list[bytes]:
    """Every public key [32 bytes] of the PEM blocks, so that an old and a new key can be trusted side by side."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = read_key(trust)
    if b"PRIVATE KEY" in text:
        raise UsageError("that is a private key, and trust needs the public one", "give the .pub file beside it")
    found = []
    for block in _BLOCK.findall(text):
        try:
            key = to.load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError("a public key to trust cannot be read", _NEW) from None
        if not isinstance(key, Ed25519PublicKey):
            raise UsageError("a public key to trust is not of the kind Ed25519", _NEW)
        found.append(key.public_bytes(to.Encoding.Raw, to.PublicFormat.Raw))
    if not found:
        raise UsageError("there is no public key in what should be trusted", f"give a PEM file; {_NEW}")
    return found


def _private(key: str | Path | bytes) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = read_key(key)
    if b"PUBLIC KEY" in text:
        raise UsageError("that is a public key, and signing needs the private one", "give the .key file beside it")
    try:
        found = to.load_pem_private_key(text, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise UsageError("there is no private key without a password to sign with", _NEW) from None
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError("the key to sign with is not of the kind Ed25519", _NEW)
    return found


def _raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def read_key(source: str | Path | bytes) -> bytes:
    """The contents of a key file.

    Raises:
        UsageError: it cannot be read.
    """
    if isinstance(source, bytes):
        return source
    path = Path(source)
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the key `{path}`: {getattr(error, 'strerror', None) or error}", _NEW) from None


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a file that did not exist; nothing is left of it if that fails."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
