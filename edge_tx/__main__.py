"""Runs the command line: ``python -m edge_tx``."""

from edge_tx.cli import main

if __name__ == "__main__":
    main()
