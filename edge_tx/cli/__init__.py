"""The command line: one file per verb, imported when called."""

from edge_tx.cli.app import main

__all__ = ["main"]
