"""A checkpoint that answers in eager torch, as a session among others: a benchmark's reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx.backends import Placement, SessionConfig
from edge_tx.errors import SessionFailed
from edge_tx.exporters import source
from edge_tx.tensors import Array, TensorSpec, check_feeds

if TYPE_CHECKING:
    from edge_tx.exporters.traced import Traced

__all__ = ["EagerSession", "open_session", "size_bytes"]


def open_session(checkpoint: Path, config: SessionConfig) -> EagerSession:
    """Loads a checkpoint in fp32, on the CPU.

    Args:
        checkpoint: Its folder.
        config: Its threads become torch's, for the whole process.

    Raises:
        MissingDependency: The ``export`` extra is not installed.
        InvalidConfig: There is no such folder.
        UnsupportedModel: It cannot be loaded.
    """
    traced = source.load(checkpoint)
    import torch

    torch.set_num_threads(config.threads)
    return EagerSession(traced, config)


def size_bytes(checkpoint: Path) -> int:
    """Of the checkpoint's weight files."""
    return sum(path.stat().st_size for path in checkpoint.rglob("*.safetensors"))


class EagerSession:
    """See :class:`edge_tx.backends.Session`."""

    def __init__(self, traced: Traced, config: SessionConfig) -> None:
        self._traced: Traced | None = traced
        self._config = config
        self._inputs, self._outputs = traced.inputs, traced.outputs

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`run` returns."""
        return self._outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Computes the outputs; see :meth:`edge_tx.backends.Session.run`."""
        traced = self._open()
        return traced.reference(check_feeds(self._inputs, feeds))

    def placement(self) -> Placement:
        """The CPU, with the threads that torch says it has."""
        self._open()
        import torch

        return Placement(
            backend="torch",
            device="cpu",
            provider="eager",
            threads=torch.get_num_threads(),
            streams=self._config.streams,
            runtime=f"torch {torch.__version__}",
        )

    def close(self) -> None:
        """Lets go of the module."""
        self._traced = None

    def _open(self) -> Traced:
        if self._traced is None:
            raise SessionFailed("the session is closed: open it again")
        return self._traced
