"""Keeps vendors' chatter off the terminal while they work; what matters is raised."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences warnings, progress on stdout, and every logger below ERROR.

    All loggers at once: torch, torchao, jax and the converters each warn under several names,
    some of them while they are imported and before their logger can be found.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
