"""riskml: from a new fraud threat to a deployable model with a verdict against the temporary rule.

``riskml.load(path)`` gives a verified release that scores rows, ``riskml.features(recipe)`` the feature table of a
notebook, ``riskml.errors`` what either may raise. ``import riskml`` itself loads nothing else: everything waits for
its first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from riskml import errors
    from riskml.release.load import load

    def features(recipe: object, /) -> pd.DataFrame:
        """The feature table of a recipe (its path or a ``Recipe``): row i is event row i."""


__all__ = ["__version__", "errors", "features", "load"]

__version__ = "0.1.0"


class _FeaturesPackage(ModuleType):
    """The package ``riskml.features``, which can also be called."""

    def __call__(self, recipe: Any) -> pd.DataFrame:
        """The feature table of a recipe (its path or a ``Recipe``): row i is event row i."""
        from riskml.data.labels import label_log
        from riskml.data.tables import read_tables
        from riskml.features.compile import compile_plan
        from riskml.features.local import compute
        from riskml.recipe import Recipe, load_recipe

        read = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
        tables = read_tables(read)
        return compute(compile_plan(read), tables, label_log(read, tables)).frame


class _Root(ModuleType):
    """This module; the import system hands it each subpackage, and `features` must stay callable afterwards."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "features" and isinstance(value, ModuleType):
            value.__class__ = _FeaturesPackage
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    """Import what is asked for on its first use."""
    if name == "load":
        return importlib.import_module("riskml.release.load").load
    if name in ("errors", "features"):
        return importlib.import_module(f"riskml.{name}")
    raise AttributeError(f"module 'riskml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = _Root
