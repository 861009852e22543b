"""Where compiled code is kept: privately, or nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from riskml.features.compiled import cache_folder, is_warm, kernel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the user."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_private(cache: Path) -> None:
    """The folder is made under the user's cache, closed to everybody else."""
    folder = cache_folder()
    assert folder == cache / "riskml" / "kernels"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_others_may_write_is_not_trusted(cache: Path) -> None:
    """Code from a folder that others can write to would be their code."""
    folder = cache_folder()
    assert folder is not None
    folder.chmod(0o770)
    assert cache_folder() is None


def test_a_link_is_not_followed(cache: Path, tmp_path: Path) -> None:
    """A link in place of the folder could lead anywhere."""
    (cache / "elsewhere").mkdir(mode=0o700)
    (cache / "riskml").mkdir()
    (cache / "riskml" / "kernels").symlink_to(cache / "elsewhere")
    assert cache_folder() is None


def test_the_environment_may_choose(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NUMBA_CACHE_DIR`` is the user's word."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache / "own"))
    assert cache_folder() == cache / "own"


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
    for kept in cache.rglob("test_compiled.*half-*.nbi"):
        os.utime(kept, (0, 0))
    assert not is_warm(other)


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
