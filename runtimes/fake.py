"""A backend without a vendor: exact, instant, and different for every input.

Its graph is a JSON file of inputs and outputs, and of layers if it has some: each scales the
outputs by its weights, so that what is done to a weight shows in the answers. Values depend on
the token ids that the mask lets through and on their places, never on padding or on the other
rows, so that anything that mixes up rows, batches or padding shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edge_tx.backends import Placement, SessionConfig
from edge_tx.errors import SessionFailed
from edge_tx.tensors import Array, DType, TensorSpec, check_feeds

__all__ = ["FakeSession", "open_session", "write_graph"]


def write_graph(
    entry: Path,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    layers: Mapping[str, Sequence[float]] | None = None,
) -> Path:
    """Writes a graph file.

    Args:
        entry: Where to write it; must end in ``.fake.json``.
        inputs: ``input_ids`` and ``attention_mask`` must be among them, ``[batch, seq]``.
        outputs: ``[batch, ...]`` or ``[batch, seq, ...]`` with fixed sizes behind.
        layers: Weights by name, as many as the outputs' last size.

    Returns:
        The same path.
    """
    graph = {
        "inputs": [_to_json(s) for s in inputs],
        "outputs": [_to_json(s) for s in outputs],
        "layers": {name: list(weights) for name, weights in (layers or {}).items()},
    }
    entry.write_text(json.dumps(graph), encoding="utf-8")
    return entry


def open_session(entry: Path, config: SessionConfig) -> FakeSession:
    """Opens a graph file.

    Raises:
        SessionFailed: The file is missing or is not such a graph.
    """
    try:
        graph = json.loads(entry.read_text(encoding="utf-8"))
        inputs = tuple(_from_json(s) for s in graph["inputs"])
        outputs = tuple(_from_json(s) for s in graph["outputs"])
        layers = [np.array(weights, np.float32) for weights in graph.get("layers", {}).values()]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SessionFailed(f"{entry.name} is not a fake graph: {exc}") from exc
    return FakeSession(inputs, outputs, config, layers)


class FakeSession:
    """An open fake graph; see :class:`edge_tx.backends.Session`."""

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        config: SessionConfig,
        layers: Sequence[Array] = (),
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._config = config
        self._layers = layers
        self._open = True

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
        if not self._open:
            raise SessionFailed("the session is closed: open it again")
        ready = check_feeds(self._inputs, feeds)
        mask = ready["attention_mask"]
        # The place is counted among unmasked tokens, so that left padding changes nothing.
        tokens = ready["input_ids"] * mask * np.cumsum(mask, axis=1)
        return {spec.name: self._scaled(_values(spec, tokens)) for spec in self._outputs}

    def _scaled(self, values: Array) -> Array:
        for weights in self._layers:
            values = values * weights
        return values

    def placement(self) -> Placement:
        """Says that nothing but numpy ran."""
        if not self._open:
            raise SessionFailed("the session is closed: open it again")
        return Placement(
            backend="fake",
            device="cpu",
            provider="numpy",
            threads=self._config.threads,
            streams=self._config.streams,
            runtime=f"numpy {np.__version__}",
        )

    def close(self) -> None:
        """Closes the graph."""
        self._open = False


def _values(spec: TensorSpec, tokens: Array) -> Array:
    per_token = len(spec.shape) > 1 and spec.shape[1] == "seq"
    base = tokens if per_token else tokens.sum(axis=1)
    rest = tuple(int(n) for n in spec.shape[base.ndim :])
    phases = np.arange(1, int(np.prod(rest)) + 1).reshape(rest)
    wave = np.sin(base.reshape(base.shape + (1,) * len(rest)) * 0.37 * phases)
    return wave.astype(spec.dtype.numpy)


def _to_json(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "dtype": spec.dtype.value, "shape": list(spec.shape)}


def _from_json(raw: Mapping[str, object]) -> TensorSpec:
    shape = raw["shape"]
    if not isinstance(shape, list):
        raise TypeError(f"shape is {shape!r}")
    return TensorSpec(str(raw["name"]), DType(raw["dtype"]), tuple(shape))
