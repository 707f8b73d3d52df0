from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_tx.bundle import Bundle
from edge_tx.errors import InvalidConfig
from edge_tx.manifest import FileRecord, Graph, Manifest
from edge_tx.stamps import check_space, graph_stamp, same_space
from edge_tx.tasks.embedding import Embedding


def quantised(graph: Graph, recipe: str, sha256: str = "ab" * 32) -> Graph:
    file = FileRecord(graph.files[0].path, graph.files[0].size, sha256)
    return replace(graph, recipe=recipe, precision="int8", files=(file,))


@pytest.fixture
def manifest(tmp_path: Path, write_bundle: Callable[..., Bundle]) -> Manifest:
    bundle = write_bundle(tmp_path / "two", graphs=("onnx-fp32", "openvino-fp32"))
    return bundle.manifest


def test_fp32_graphs_of_all_backends_share_the_bundle_stamp(manifest: Manifest) -> None:
    stamps = {graph_stamp(manifest, graph) for graph in manifest.graphs}
    assert stamps == {manifest.stamp}


def test_every_other_graph_has_a_stamp_of_its_own(manifest: Manifest) -> None:
    fp32 = manifest.graphs[0]
    graphs = [
        fp32,
        quantised(fp32, "dynamic_w8"),
        quantised(fp32, "dynamic_w8", "cd" * 32),  # the same recipe by another release
        quantised(fp32, "static_w8a8:smooth=0.5"),
        replace(fp32, precision="fp16"),
    ]
    stamps = [graph_stamp(manifest, graph) for graph in graphs]
    assert len(set(stamps)) == len(stamps)
    assert all(stamp.startswith(manifest.stamp) for stamp in stamps)


def embedding(stamp: str) -> Embedding:
    return Embedding(np.zeros(2, np.float32), 2, 0, stamp)


def test_results_stamps_and_models_can_be_compared() -> None:
    assert same_space(embedding("a"), "a")
    assert not same_space(embedding("a"), embedding("a:dynamic_w8:1"))
    check_space([embedding("a"), "a", embedding("a")])
    check_space([])


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("a" * 64, "b" * 64, "of different models"),
        ("a", "a:dynamic_w8:1", "of one model's fp32 and dynamic_w8 graphs"),
        ("a:fp16:1", "a:dynamic_w8:1", "of one model's fp16 and dynamic_w8 graphs"),
    ],
)
def test_a_mixture_is_refused_and_the_reason_is_said(one: str, other: str, why: str) -> None:
    with pytest.raises(InvalidConfig, match=why):
        check_space([embedding(one), embedding(other)])


def test_what_carries_no_stamp_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="carries no stamp"):
        same_space(embedding(""), "a")


def test_a_stamp_is_in_the_result_only_where_a_graph_made_it() -> None:
    assert embedding("a").to_dict()["stamp"] == "a"
    assert "stamp" not in embedding("").to_dict()
