"""The recipe: one TOML file (or the same values built in Python) that defines everything a run does."""

from riskml.recipe.parse import load_recipe, parse_recipe
from riskml.recipe.spec import Recipe

__all__ = ["Recipe", "load_recipe", "parse_recipe"]
