"""What graphs are compared with beside each other: the checkpoint itself, in its own library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx.backends import Session, SessionConfig, resolve
from edge_tx.errors import MissingDependency, UnknownName

if TYPE_CHECKING:
    from edge_tx.bench.cell import Cell
    from edge_tx.runtimes.model import Model

__all__ = ["REFERENCES", "Reference", "find_reference", "load_reference"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A library that runs checkpoints as they are.

    Attributes:
        name: What users write, and the backend of its row.
        title: For people.
        modules: That it needs.
        install: The line that installs them.
        session: ``"module:function"``, called with the checkpoint and a
            :class:`~edge_tx.backends.SessionConfig`.
        size: ``"module:function"``, called with the checkpoint: bytes of its weights.
    """

    name: str
    title: str
    modules: tuple[str, ...]
    install: str
    session: str
    size: str

    def require(self) -> None:
        """Checks that it is installed.

        Raises:
            MissingDependency: It is not.
        """
        for module in self.modules:
            if find_spec(module) is None:
                raise MissingDependency(module, f"the reference '{self.name}'", self.install)


REFERENCES: Mapping[str, Reference] = {
    "torch": Reference(
        name="torch",
        title="PyTorch eager",
        modules=("torch", "transformers", "optimum"),
        install="pip install 'edge-tx[export]'",
        session="edge_tx.exporters.eager:open_session",
        size="edge_tx.exporters.eager:size_bytes",
    ),
}


def find_reference(name: str) -> Reference:
    """Looks a reference up.

    Raises:
        UnknownName: There is none of that name.
    """
    if name not in REFERENCES:
        raise UnknownName("reference", name, REFERENCES)
    return REFERENCES[name]


def load_reference(cell: Cell) -> Model:
    """The checkpoint behind the tokenizer and task of a bundle: only what runs is another."""
    from edge_tx import tasks
    from edge_tx.bundle import Bundle
    from edge_tx.runtimes.engine import Engine
    from edge_tx.runtimes.model import Model
    from edge_tx.runtimes.selection import Choice

    def open_session(threads: int, streams: int) -> Session:
        config = SessionConfig("cpu", threads, streams)
        session: Session = resolve(find_reference(cell.reference).session)(
            Path(cell.checkpoint), config
        )
        return session

    bundle = Bundle.open(cell.bundle)
    manifest = bundle.manifest
    engine = Engine(open_session, cell.threads, streams=1)
    task = tasks.create(manifest.task, manifest.settings)
    choice = Choice(bundle.graph(cell.graph), f"the reference {cell.reference}")
    return Model(bundle, choice, bundle.tokenizer(), task, engine)
