"""Where compiled code is kept: privately, or nowhere."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from riskml.features import compiled
from riskml.features.compiled import cache_folder, compiling, is_warm, kernel, sources_digest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the user."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_private(cache: Path) -> None:
    """The folder is made under the user's cache, closed to everybody else."""
    folder = cache_folder()
    assert folder == cache / "riskml" / "kernels" / sources_digest()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_others_may_write_is_not_trusted(cache: Path) -> None:
    """Code from a folder that others can write to would be their code."""
    folder = cache_folder()
    assert folder is not None
    for level in (folder, folder.parent):
        level.chmod(0o770)
        assert cache_folder() is None
        level.chmod(0o700)
    assert cache_folder() == folder


def test_a_link_is_not_followed(cache: Path, tmp_path: Path) -> None:
    """A link in place of the folder could lead anywhere."""
    (cache / "elsewhere").mkdir(mode=0o700)
    (cache / "riskml").mkdir()
    (cache / "riskml" / "kernels").symlink_to(cache / "elsewhere")
    assert cache_folder() is None


def test_the_environment_may_choose(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NUMBA_CACHE_DIR`` is the user's word."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache / "own"))
    assert cache_folder() == cache / "own" / sources_digest()


def test_kernels_work_without_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a usable folder code is compiled in memory."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/nowhere")
    assert cache_folder() is None

    @kernel
    def double(values):
        return values * 2

    assert double(np.arange(3)).tolist() == [0, 2, 4]


def test_the_compiled_code_lies_in_the_folder(cache: Path) -> None:
    """A kernel's code is kept for the next process."""

    @kernel
    def triple(values):
        return values * 3

    triple(np.arange(3))
    assert [name for _, _, files in os.walk(cache) for name in files if "triple" in name]


def test_a_kernel_is_warm_once_its_code_is_kept(cache: Path) -> None:
    """Cold before the first use; warm in this process, and in the next one as long as the source stays as it is."""

    @kernel
    def half(values):
        return values / 2

    assert not is_warm(half)
    half(np.arange(3))
    assert is_warm(half)
    other = kernel(half.py_func)
    assert not other.signatures
    assert is_warm(other)
    code = next(cache.rglob("test_compiled.*half-*.nbc"))
    code.write_bytes(b"")
    assert not is_warm(other)
    code.unlink()
    assert not is_warm(other)


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"\x80", b"\0" * 4096])
def test_damaged_code_is_thrown_away(cache: Path, ending: str, damage: bytes) -> None:
    """Files that cannot be read are replaced by good ones, and the answer is right all the while."""

    @kernel
    def half(values):
        return values / 2

    half(np.arange(3))
    (damaged,) = cache.rglob(f"test_compiled.*half-*.{ending}")
    damaged.write_bytes(damage)
    again = kernel(half.py_func)
    assert again(np.arange(3)).tolist() == [0.0, 0.5, 1.0]
    assert sum(again.stats.cache_hits.values()) == 0
    third = kernel(half.py_func)
    assert third(np.arange(3)).tolist() == [0.0, 0.5, 1.0]
    assert sum(third.stats.cache_hits.values()) == 1


def test_a_full_disk_keeps_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where code cannot be written the kernel runs all the same, and no index of code that is missing stays behind."""

    @kernel
    def half(values):
        return values / 2

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(half._cache.inner._cache_file, "_save_data", full)
    assert half(np.arange(3)).tolist() == [0.0, 0.5, 1.0]
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_the_digest_follows_every_source_of_kernels(tmp_path: Path) -> None:
    """A change in any file with kernels changes the folder; one in another file does not."""

    def digest() -> str:
        sources_digest.cache_clear()
        return sources_digest(tmp_path)

    (tmp_path / "inner.py").write_text("@kernel\ndef inner(): return 1\n")
    (tmp_path / "outer.py").write_text("@kernel\ndef outer(): return inner()\n")
    (tmp_path / "other.py").write_text("x = 1\n")
    before = digest()
    assert len(before) == 16
    (tmp_path / "other.py").write_text("x = 2\n")
    assert digest() == before
    (tmp_path / "inner.py").write_text("@kernel\ndef inner(): return 2\n")
    assert digest() != before
    sources_digest.cache_clear()


def test_a_changed_kernel_changes_those_that_call_it(tmp_path: Path) -> None:
    """Code kept for a kernel is not used once a kernel it calls has changed in another file."""
    root, package = Path(__file__).parents[2], tmp_path / "riskml" / "features"
    package.mkdir(parents=True)
    (tmp_path / "riskml" / "__init__.py").write_text('__version__ = "0"\n')
    (package / "__init__.py").write_text("")
    (package / "compiled.py").write_text((root / "riskml" / "features" / "compiled.py").read_text())
    head = "from riskml.features.compiled import kernel\n"
    (package / "outer.py").write_text(
        f"{head}from riskml.features.inner import inner\n@kernel\ndef outer(x):\n    return inner(x) * 10\n"
    )
    program = "from riskml.features.outer import outer\nprint(outer(1), sum(outer.stats.cache_hits.values()))"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    said = []
    for plus in (1, 1, 2):
        (package / "inner.py").write_text(f"{head}@kernel\ndef inner(x):\n    return x + {plus}\n")
        command = [sys.executable, "-B", "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
        said.append(done.stdout.strip())
    assert said == ["20 0", "20 1", "30 0"]


def test_old_code_of_other_versions_is_removed(cache: Path) -> None:
    """A new folder is the occasion to remove old ones; fresh ones and what is not ours stay."""
    shared = cache / "riskml" / "kernels"
    shared.mkdir(parents=True, mode=0o700)
    old = time.time() - 31 * 86_400
    for name in ("0123456789abcdef", "features_" + "0" * 40, "mine"):
        (shared / name / "sub").mkdir(parents=True)
        os.utime(shared / name, (old, old))
    (shared / ("f" * 16)).mkdir()
    assert cache_folder() is not None
    assert sorted(folder.name for folder in shared.iterdir()) == sorted(["f" * 16, "mine", sources_digest()])


def test_words_before_compiling(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run says that it is the first; where nothing can be kept, that and what to do about it."""

    def plain(values):
        return values / 2

    half = kernel(plain)
    assert compiling(half) == "compiling kernels (first run only)"
    monkeypatch.setattr(compiled, "ROOM", 2**80)
    assert compiling(half) == "compiling kernels (nothing can be kept: set XDG_CACHE_HOME to a folder with room)"
    half(np.arange(3))
    assert compiling(half) is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/nowhere")
    words = "compiling kernels (nothing can be kept: set XDG_CACHE_HOME to a folder you can write)"
    assert compiling(kernel(plain)) == words
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/self/nowhere")
    assert compiling(kernel(plain)) == words.replace("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")


NOWHERE = """
import numpy as np
from riskml.features import compiled, kernels
assert compiled.cache_folder() is None
assert not compiled.is_warm(kernels.group)
assert kernels.group(np.array([1, 0]), np.array([0, 1]), 2)[0].tolist() == [1, 0]
assert compiled.is_warm(kernels.group)
"""


def test_no_home_is_no_trouble() -> None:
    """A process without a home directory, whose cache can be written nowhere, compiles in memory."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    root = str(Path(__file__).parents[2])
    environment |= {"HOME": "/proc/self/nowhere", "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", NOWHERE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
