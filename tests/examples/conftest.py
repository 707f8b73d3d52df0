"""Bundles of real and small models, and apps with them inside."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def bundles(
    minilm_path: Path, tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """``embedding`` is all-MiniLM-L6-v2; ``classifier`` a trained one, or else a tiny one.

    EDGE_TX_EXAMPLE_BUNDLES names a folder with both of them, where they are exported already.
    """
    import edge_tx

    ready = os.environ.get("EDGE_TX_EXAMPLE_BUNDLES")
    if ready:
        return {name: Path(ready, name) for name in ("embedding", "classifier")}
    trained = ROOT.parent / "shared" / "models" / "sst2-minilm"
    classifier = trained if trained.is_dir() else tiny_model("bert", "text-classification")
    folder = tmp_path_factory.mktemp("bundles")
    models = {"embedding": minilm_path, "classifier": classifier}
    for name, model in models.items():
        task = "text-classification" if name == "classifier" else None
        edge_tx.export(model, folder / name, to="onnx", task=task).close()
    return {name: folder / name for name in models}


@pytest.fixture(scope="session")
def npm_app(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """``npm_app(kind, bundle) -> folder``: an app with its packages installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js with npm is not installed")

    def make(kind: str, bundle: Path) -> Path:
        from edge_tx import apps
        from edge_tx.bundle import Bundle

        app = tmp_path_factory.mktemp(kind) / "app"
        with Bundle.open(bundle) as opened:
            apps.init(kind, opened, app)
        installed = ROOT / "examples" / kind / "node_modules"
        if installed.is_dir():
            (app / "node_modules").symlink_to(installed)
            return app
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install: {(done.stderr.splitlines() or ['?'])[-1]}")
        return app

    return make


@pytest.fixture
def conforms() -> Callable[..., dict[str, Any]]:
    """``conforms(bundle, *command, graph=name) -> score``, asserted to be all right."""
    import shlex

    from edge_tx import conformance, conformance_program
    from edge_tx.bundle import Bundle

    def check(bundle: Path, *command: object, graph: str | None = None) -> dict[str, Any]:
        with Bundle.open(bundle) as opened:
            golden, parity = opened.golden(), opened.graph(graph).parity
        asked = b"".join(question.line() for question in conformance.questions(golden))
        words = conformance_program.command_of(shlex.join(map(str, command)))
        outcome = conformance_program.run(words, asked, timeout_s=280)
        assert outcome.failure == ""
        score = conformance.score(golden, parity, outcome.answers, require_ids=True)
        assert score.failures == ()
        return {"cases": len(score.cases), "ids": score.ids_told}

    return check
