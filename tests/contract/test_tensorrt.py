"""TensorRT sessions, held to the contract on a GPU, with engines that are built here first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_tx.backends import find
from edge_tx.errors import DeviceUnavailable
from edge_tx.runtimes.cuda import Cuda
from edge_tx.testing import Sample, SessionContract

pytestmark = [pytest.mark.gpu, pytest.mark.export]

_VOCABULARY = 500
# Family, task, precision and tolerance.
_SAMPLES = {
    "embedding": ("bert", "sentence-embedding", "fp32", 1e-4),
    "labels": ("bert", "text-classification", "fp32", 1e-4),
    "tokens": ("bert", "token-classification", "fp32", 1e-4),
    "spans": ("bert", "question-answering", "fp32", 1e-4),
    "embedding fp16": ("bert", "sentence-embedding", "fp16", 2e-2),
}


def _missing(backend: str) -> str:
    """Why a backend cannot run here; empty if it can."""
    row = find(backend)
    if row.module is None:
        return f"{row.title} is not installed: {row.install}"
    try:
        Cuda.open().close()
    except DeviceUnavailable as exc:
        return f"{row.title}: {exc}"
    return ""


_MISSING = {backend: _missing(backend) for backend in ("tensorrt", "tensorrt_rtx")}
if all(_MISSING.values()):
    pytest.skip("; ".join(_MISSING.values()), allow_module_level=True)


class _OnGpu(SessionContract):
    @pytest.fixture(params=list(_SAMPLES))
    def sample(
        self, request: pytest.FixtureRequest, built: Any, monkeypatch: pytest.MonkeyPatch
    ) -> Sample:
        if _MISSING[self.backend]:
            pytest.skip(_MISSING[self.backend])
        made, cache = built(self.backend, request.param)
        monkeypatch.setenv("EDGE_TX_CACHE", str(cache))
        found: Sample = made
        return found


class TestTensorrt(_OnGpu):
    backend = "tensorrt"


class TestTensorrtRtx(_OnGpu):
    backend = "tensorrt_rtx"


@pytest.fixture(scope="module")
def built(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Exports a bundle and builds its engine, once per backend and sample."""
    samples: dict[tuple[str, str], tuple[Sample, Path]] = {}

    def make(backend: str, name: str) -> tuple[Sample, Path]:
        if (backend, name) not in samples:
            folder = tmp_path_factory.mktemp("engines")
            samples[backend, name] = _build(backend, name, tiny_model, folder), folder / "cache"
        return samples[backend, name]

    return make


def _build(backend: str, name: str, tiny_model: Any, folder: Path) -> Sample:
    from edge_tx.bundle_writer import BundleWriter
    from edge_tx.exporters import source, tensorrt
    from edge_tx.exporters.traced import ExportOptions
    from edge_tx.golden import Golden, record
    from edge_tx.manifest import Parity
    from edge_tx.runtimes.tensorrt_engines import BuildOptions, build
    from edge_tx.tasks import create
    from edge_tx.text import Tokenizer

    family, task, precision, tolerance = _SAMPLES[name]
    traced = source.load(tiny_model(family, task, shallow=True), task=task)
    text = ("Where?", "Here.") if task == "question-answering" else "A short text."
    case = record(
        text,
        {},
        tokenizer=Tokenizer(traced.tokenizer_json, traced.policy),
        task=create(task, traced.settings),
        run=traced.reference,
    )
    with BundleWriter(folder / "bundle") as writer:
        made = tensorrt.export(
            traced, writer.graph_folder("it"), ExportOptions(precision=precision), preflight=False
        )
        writer.add_graph(
            name="it",
            backend=backend,
            precision=precision,
            entry=made.entry,
            inputs=traced.inputs,
            outputs=traced.outputs,
            parity=Parity(texts=1, max_abs_error=tolerance, min_cosine=0.999, agreement=1.0),
            route=made.route,
        )
        bundle = writer.commit(
            task=task,
            source=traced.source,
            settings=traced.settings,
            tokenizer=traced.policy,
            tokenizer_json=traced.tokenizer_json,
            golden=Golden((case,)),
        )
    graph = bundle.graphs[0]
    build(bundle, graph, BuildOptions(cache_dir=folder / "cache" / "engines"))
    return Sample(
        bundle.entry(graph),
        traced.inputs,
        traced.outputs,
        traced.reference,
        vocabulary=_VOCABULARY,
        longest=traced.policy.max_length,
        tolerance=tolerance,
    )
