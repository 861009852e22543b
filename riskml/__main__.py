"""``python -m riskml``: the same as the command ``riskml``."""

from riskml.cli.app import entry

entry()
