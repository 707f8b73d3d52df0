"""What stands between a graph and its vendor's runtime on this machine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from edge_tx.backends import Backend, SessionConfig, find, resolve
from edge_tx.errors import EdgeTxError, InvalidConfig, UnknownName

__all__ = ["import_vendor", "kept_out", "obstacle", "options_of"]


def obstacle(backend: str, entry: Path, config: SessionConfig | None = None) -> EdgeTxError | None:
    """Why a graph cannot run here; None if nothing is known to be in its way.

    Args:
        backend: Name of the graph's backend.
        entry: The graph's entry file.
        config: How it would be opened.

    Returns:
        What opening it would raise: the backend is of a plug-in that is not here, or its
        module, the device or a built engine is missing.
    """
    config = config or SessionConfig()
    try:
        row = find(backend)
        row.check_device(config)
    except UnknownName as exc:
        return exc
    if row.module is None:
        return row.absent(f"running {row.name} graphs")
    if not row.obstacle:
        return None
    return cast("EdgeTxError | None", resolve(row.obstacle)(row, entry, config))


def options_of(options: Mapping[str, str] | None, named: bool) -> tuple[tuple[str, str], ...]:
    """A vendor's own settings, as :class:`SessionConfig` takes them.

    Args:
        options: By name; None for none.
        named: Whether it was said which backend they are for.

    Raises:
        InvalidConfig: There are some, and it was not said.
    """
    if options and not named:
        raise InvalidConfig(
            f"{', '.join(options)}: such options are a vendor's own: name the backend too"
        )
    return tuple((options or {}).items())


def import_vendor(row: Backend, purpose: str = "") -> Any:
    """Imports the vendor's module, and keeps out what would report that to its maker.

    Args:
        row: The backend.
        purpose: What it is needed for, in words; running its graphs if empty.

    Returns:
        The module.

    Raises:
        MissingDependency: It is not installed.
    """
    if row.module is None:
        raise row.absent(purpose or f"running {row.name} graphs")
    with kept_out(row.unwanted):
        return importlib.import_module(row.module)


@contextmanager
def kept_out(modules: Collection[str]) -> Iterator[None]:
    """Lets nothing import these, as if they were not installed."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type] # None says "not there"
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
