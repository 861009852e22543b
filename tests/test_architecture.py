"""The layers of riskml: who may import whom, and what a deployed release may carry along.

Read from the source with ``ast``: imports inside functions count for the layers, not for what a module drags in when it
is imported; imports under ``TYPE_CHECKING`` count for neither.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "riskml"

# Each layer may import itself and those before it.
LAYERS = (
    "errors",
    "expression",
    "recipe",
    "data",
    "features",
    "learning",
    "evidence",
    "release",
    "serve",
    "report",
    "cli",
)
HEAVY = {"pandas", "lightgbm", "optuna", "shap", "rich", "sklearn", "matplotlib", "typer"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """``riskml/data/tables.py`` is ``riskml.data.tables``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, top_only: bool) -> Iterator[str]:
    """Dotted names imported by a file; ``from a import b`` gives ``a.b`` as well as ``a``."""

    def walk(body: list[ast.stmt]) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from walk(node.orelse)
            elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
                for field in ("body", "orelse", "finalbody", "handlers"):
                    inner = getattr(node, field, [])
                    yield from walk([n for n in inner if isinstance(n, ast.stmt | ast.excepthandler)])

    yield from walk(ast.parse(path.read_text(encoding="utf-8")).body)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_up(path: Path) -> None:
    """A module imports only its own layer and those before it; nothing imports the command line."""
    parts = module_name(path).split(".")
    if len(parts) < 2 or parts[1] == "__main__":
        pytest.skip("the package root may name every layer")
    allowed = LAYERS[: LAYERS.index(parts[1]) + 1]
    for name in imports(path, top_only=False):
        if name.startswith("riskml.") and name != "riskml.__version__":
            assert name.split(".")[1] in allowed, f"{module_name(path)} imports {name}"


def loaded_with(module: str) -> set[str]:
    """Every module that importing ``module`` imports, riskml's own modules followed."""
    by_name = {module_name(path): path for path in FILES}
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in by_name:
            parents = [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
            queue += [n for n in [*imports(by_name[name], top_only=True), *parents] if n not in seen]
    return seen


@pytest.mark.parametrize(
    "module",
    [
        "riskml.release.load",
        "riskml.release.verify",
        "riskml.serve.decider",
        "riskml.serve.valkey",
        "riskml.serve.journal",
        "riskml.serve.server",
    ],
)
def test_a_release_needs_little(module: str) -> None:
    """Loading a release drags in neither training, recipes, tables nor heavy libraries."""
    seen = loaded_with(module)
    assert "riskml.errors" in seen
    banned = {"riskml.learning.train", "riskml.recipe", "riskml.recipe.parse", "riskml.data.tables"}
    assert not seen & banned
    assert not {name.split(".")[0] for name in seen} & HEAVY


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_unsafe_calls_and_one_printer(path: Path) -> None:
    """No module evaluates text or unpickles, and only the console prints."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & FORBIDDEN_CALLS
    assert path.name == "console.py" or "print" not in called
    assert not {name.split(".")[0] for name in imports(path, top_only=False)} & FORBIDDEN_MODULES


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_say_what_they_are_for(path: Path) -> None:
    """Every module opens with a docstring and stays within 500 lines."""
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 500
