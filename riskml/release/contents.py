"""From the bytes of a release to its files, every one compared with the manifest and the manifest with its signature.

In go bytes, and the keys to trust if any; out come the files with one sentence for everything that is wrong with them.
Nothing here scores, and nothing is written to disk. Bytes that cannot be read as a release at all raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from riskml.errors import ReleaseError
from riskml.release import archive, sign
from riskml.release.manifest import Manifest, sha256

__all__ = ["Contents", "open_contents"]


@dataclass(frozen=True)
class Contents:
    """The files of a release and what is wrong with them; nothing is, if ``problems`` is empty.

    ``signature`` says who signed, as ``sign.check`` does; ``untrusted`` is a problem that is no alteration.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    problems: tuple[str, ...]
    signature: str = sign.UNSIGNED
    untrusted: bool = False


def open_contents(raw: bytes, trust: sign.Trust = None) -> Contents:
    """Parse the bytes of a release, compare every file with the manifest, and the manifest with the signature.

    Raises:
        ReleaseError: it cannot be read as a release; ``NewerReleaseError`` if it is of a newer schema.
        UsageError: ``trust`` holds no public keys.
    """
    read = archive.decode(raw)
    if archive.MANIFEST not in read.files:
        raise ReleaseError("the archive holds no `manifest.json`", "give the file that `riskml package` wrote")
    if read.flaw is not None and read.flaw.startswith(f"entry `{archive.MANIFEST}`"):
        raise ReleaseError("`manifest.json` was altered", "copy the release again from its source")
    manifest = Manifest.decode(read.files[archive.MANIFEST])
    problems = _problems(manifest, read.files)
    signature, untrusted = sign.UNSIGNED, False
    try:
        signature = sign.check(read.files, read.files[archive.MANIFEST], trust)
    except ReleaseError as error:
        untrusted = isinstance(error, sign.UntrustedError) and not problems and read.flaw is None
        problems.append(f"{error.message} ({error.hint})" if error.hint else error.message)
    if read.flaw is not None and not problems:
        problems.append(f"the archive itself was altered: {read.flaw}")
    return Contents(manifest, read.files, tuple(problems), signature, untrusted)


def _problems(manifest: Manifest, files: Mapping[str, bytes]) -> list[str]:
    """One sentence for every file that is altered, missing or foreign."""
    problems = []
    for name, entry in manifest.files.items():
        data = files.get(name)
        if data is None:
            problems.append(f"`{name}` is missing")
        elif len(data) != entry.size or sha256(data) != entry.sha256:
            problems.append(f"`{name}` was altered")
    own = {archive.MANIFEST, archive.SIGNATURE} if manifest.signable else {archive.MANIFEST}
    return problems + [f"`{name}` does not belong here" for name in files if name not in manifest.files.keys() | own]
