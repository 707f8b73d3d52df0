"""Opening a bundle as a model, in the order that answers soonest.

This module is imported before numpy is, let alone the vendor's package: what is needed to find
and open the graph comes first, and everything else beside the graph's opening.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx import backends, vendors
from edge_tx.backends import SessionConfig
from edge_tx.bundle import Bundle
from edge_tx.errors import EdgeTxError, InvalidConfig, SessionFailed
from edge_tx.runtimes.selection import choose

if TYPE_CHECKING:
    from edge_tx.backends import Session
    from edge_tx.manifest import Graph
    from edge_tx.runtimes.engine import Engine
    from edge_tx.runtimes.model import Model
    from edge_tx.tasks import Task

__all__ = ["load"]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Pauses the garbage collector, and lets it take what was made meanwhile for old.

    Importing numpy and a vendor's package makes 20,000 objects that stay; looking through them
    for some that do not, 45 times, takes a thirtieth of the time to the first answer.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # else they are the application's, and stay frozen
                gc.freeze()
                gc.unfreeze()  # to the oldest generation, without a look at any
            gc.enable()


@_uncollected()
def load(
    path: str | Path,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    *,
    graph: str | None = None,
    streams: int | None = None,
    min_accuracy: float | None = None,
    options: Mapping[str, str] | None = None,
) -> Model:
    """Opens a bundle and a graph in it.

    Args:
        path: A bundle: a folder or an ``.etx`` file.
        backend: Name of a backend; ``"auto"`` takes the graph that ``edge-tx tune`` measured to be
            the best on this device, or the first in the documented order, see ``docs/tuning.md``.
        device: A device of the backend, or ``"auto"`` for its first. It is that or an error.
        threads: CPU threads; by default the physical cores that this process may use.
        graph: Name of one of the bundle's graphs, where a backend has several.
        streams: Batches of a long list that run side by side, on ``threads // streams`` threads
            each; 1 for none; by default chosen by how long the list is.
        min_accuracy: Least accuracy of the graph relative to fp32, from 0 to 1, as defined in
            :mod:`edge_tx.accuracy`; by default what :func:`edge_tx.tune` was told, or no limit.
        options: The vendor's own settings by name, e.g. ``{"CACHE_DIR": "..."}`` for OpenVINO;
            they go with a backend or a graph that is named.

    Returns:
        A model. Close it, or use it in a ``with`` block.

    Raises:
        BundleError: The bundle is damaged, unsafe or too new.
        UnknownName: No such backend, graph or device.
        MissingDependency: The backend's package is not installed.
        AccuracyGateFailed: The accuracy of every graph is below ``min_accuracy``.
        DeviceUnavailable: The device is not here.
        SessionFailed: The runtime refuses the graph.
        InvalidConfig: Options without a backend or a graph, or one that makes no sense.
    """
    if threads is not None and threads < 1:
        raise InvalidConfig(f"threads must be 1 or more, not {threads}")
    settings = vendors.options_of(options, backend != "auto" or graph is not None)
    bundle = Bundle.open(path)
    choice = choose(bundle, backend, graph, device, min_accuracy)
    row = backends.find(choice.graph.backend)
    # Hashing and the vendor's reading of a graph leave the interpreter free for most of their
    # time, so both go on beside the rest: 0.15 s for 90 MB that nobody waits for. Never three
    # things at once, though: on two cores that would hold up the graph, the longest of them.
    bundle.prefetch(choice.graph.files)

    def open_session(threads: int, streams: int) -> Session:
        config = SessionConfig(device, threads, streams, settings)
        return backends.open_session(row.name, bundle.root / choice.graph.entry, config)

    # What opens the graph is imported here, as two threads that import only hold each other up.
    from edge_tx.runtimes.engine import Engine

    try:
        vendors.import_vendor(row)
        backends.resolve(row.session)
    except (ImportError, OSError) as exc:  # opening says what is wrong, see below
        if isinstance(exc.__cause__, KeyboardInterrupt):  # what a native module makes of Ctrl-C
            raise exc.__cause__ from None
    total = threads or _usable_threads()
    opening = _Beside(lambda: Engine(open_session, total, streams))
    try:
        from edge_tx.runtimes.model import Model

        task = _task(bundle, choice.graph)
        bundle.entry(choice.graph)  # joins the hashing: nothing is answered before it is done
        tokenizer = bundle.tokenizer()  # last, as it holds the interpreter from what opens
    except EdgeTxError:
        opening.discard()
        raise
    engine = opening.result()
    return Model(bundle, choice, tokenizer, task, engine)


def _task(bundle: Bundle, graph: Graph) -> Task:
    from edge_tx import tasks
    from edge_tx.stamps import graph_stamp

    manifest = bundle.manifest
    return tasks.create(manifest.task, manifest.settings, graph_stamp(manifest, graph))


def _usable_threads() -> int:
    from edge_tx.device import usable_threads  # not needed where the caller says how many

    return usable_threads()


class _Beside:
    """A call that runs in a thread of its own while its caller goes on."""

    def __init__(self, call: Callable[[], Engine]) -> None:
        self._call = call
        self._engine: Engine | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edge-tx-open")
        self._thread.start()

    def result(self) -> Engine:
        """What the call returned; raises what it raised."""
        self._thread.join()
        if self._engine is None:
            raise self._error or SessionFailed("opening the graph ended without a word")
        return self._engine

    def discard(self) -> None:
        """Waits, and closes what the call returned if it did."""
        self._thread.join()
        if self._engine is not None:
            self._engine.close()

    def _run(self) -> None:
        try:
            self._engine = self._call()
        except BaseException as exc:  # noqa: BLE001 - raised again where the result is asked for
            self._error = exc
