"""``riskml export``: a release in the form another platform reads, or nothing where that form decides differently.

In come a release, a format and a folder; out come the path of what was written and a document. Refuses formats that
nobody knows and whatever the format's own module refuses.
"""

from __future__ import annotations

from pathlib import Path

from riskml.cli.console import Console
from riskml.errors import ExitCode, UsageError, near_matches

__all__ = ["FORMATS", "export_release"]

FORMATS = ("onnx", "mlflow")


def export_release(console: Console, release: Path, to: str, out: Path, trust: Path | None) -> int:
    """Write ``NAME-VERSION.onnx`` or the folder ``NAME-VERSION-mlflow`` into ``out``."""
    if to not in FORMATS:
        raise UsageError(f"there is no export to `{to}`", near_matches(to, FORMATS) or " or ".join(FORMATS))
    if not out.is_dir():
        raise UsageError(f"no folder {out}", "make it first")
    from riskml.release.load import load

    loaded = load(release, trust)
    stem = f"{loaded.manifest.name}-{loaded.manifest.version}"
    with console.progress("export") as progress:
        progress("proving every golden vector", 0, 0)
        if to == "onnx":
            from riskml.release.export_onnx import export_onnx

            made = export_onnx(loaded, out / f"{stem}.onnx")
            path, facts, golden = made.path, made.to_dict(), made.golden_vectors
        else:
            from riskml.release.export_mlflow import export_mlflow

            folder = export_mlflow(release, out / f"{stem}-mlflow", trust)
            path, facts, golden = folder.path, folder.to_dict(), folder.golden_vectors
    console.document(facts)
    console.answer(str(path))
    console.say(f"{loaded.id} as {to}: all {golden} golden vectors are decided alike, stage {loaded.stage}")
    return int(ExitCode.OK)
