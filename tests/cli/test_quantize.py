"""The verbs quantize, eval and recipes, on the fake backend; and kills at every moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx.bundle import Bundle
from edge_tx.bundle_writer import BundleWriter

Run = Callable[..., Any]
AWAY = ("--backend", "fake", "--target", "x86-vnni")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    words = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "good", "bad", "film", "paris"]
    path.write_text("".join(f"{a} {b} {a}\n" for a in words for b in words))
    return path


def test_quantize_and_eval(fake_bundle: Run, edge_tx: Run, texts: Path, tmp_path: Path) -> None:
    path = fake_bundle("text-classification", layers={"layer.0": (1.0, 0.4)})
    done = edge_tx("quantize", path, *AWAY, "--data", texts, "--recipe", "weight_w8")
    assert done.code == 0, done.err
    assert "fake-weight_w8" in done.out
    assert "written; its speed is unproven: only x86-vnni can tell" in " ".join(done.out.split())
    assert "quantising" in done.err
    assert edge_tx("verify", path, "-q").code == 0
    shown = edge_tx("eval", path, "--data", texts, "--metric", "cosine,agreement")
    assert shown.code == 0, shown.err
    assert "144 examples" in shown.out
    board = json.loads(
        edge_tx("eval", path, "--data", texts, "--metric", "cosine", "--json", "-q").out
    )
    assert [graph["graph"] for graph in board["graphs"]] == ["fake-fp32", "fake-weight_w8"]
    assert board["graphs"][0]["scores"] == {"cosine": pytest.approx(1.0)}
    assert board["graphs"][1]["recipe"] == "weight_w8"


def test_quantize_says_what_was_returned_and_what_it_bought(
    fake_bundle: Run, edge_tx: Run, texts: Path
) -> None:
    layers = {"layer.0": (1000.0, 0.9), "layer.1": (1.0, 1.0), "layer.2": (0.001, 1.0)}
    path = fake_bundle("text-classification", layers=layers)
    args = ("quantize", path, *AWAY, "--data", texts, "--max-drop", "0.0001")
    done = edge_tx(*args, "-q")
    assert done.code == 0, done.err
    assert "back in float" in done.out
    assert "layer.0" in done.out
    record = json.loads(edge_tx(*args, "--json").out)
    [outcome] = record["outcomes"]
    assert set(outcome["kept_float"]) <= {"layer.0", "layer.2"}
    assert outcome["returned_to_float"][0]["gained"] > 0
    assert outcome["score"] > 0.9999 > outcome["first_score"]


def test_a_gate_that_fails_exits_with_its_code(fake_bundle: Run, edge_tx: Run, texts: Path) -> None:
    path = fake_bundle("text-classification", layers={"layer.0": (1000.0, 0.9), "b": (0.001, 1.0)})
    args = ("--data", texts, "--max-drop", "0")
    done = edge_tx("quantize", path, *AWAY, *args, "-q")
    assert done.code == 7
    assert done.err.startswith("edge-tx: error: cosine falls from 1.000000 to 0.")
    assert done.err.count("\n") == 1


def test_one_failure_keeps_the_rest_and_its_exit_code(
    fake_bundle: Run, edge_tx: Run, texts: Path
) -> None:
    path = fake_bundle("text-classification", layers={"layer.0": (1.0, 0.4)})
    recipes = ("--recipe", "weight_w8", "--recipe", "fp16")
    done = edge_tx("quantize", path, *AWAY, "--data", texts, *recipes, "-q")
    assert done.code == 2
    assert "fake cannot do 'fp16'" in done.err
    assert "failed: fake cannot do 'fp16'" in " ".join(done.out.split())
    with Bundle.open(path) as bundle:
        assert [graph.name for graph in bundle.graphs] == ["fake-fp32", "fake-weight_w8"]


def test_a_graph_that_cannot_run_leaves_the_others_their_numbers(
    fake_bundle: Run, edge_tx: Run, texts: Path
) -> None:
    path = fake_bundle("text-classification")
    with Bundle.open(path) as bundle, BundleWriter(path) as writer:
        writer.adopt(bundle)
        entry = writer.graph_folder("onnx-int8") / "model.onnx"
        entry.write_bytes(b"broken")
        fp32 = bundle.graphs[0]
        writer.add_graph(
            name="onnx-int8",
            backend="onnx",
            precision="int8",
            entry=entry,
            inputs=fp32.inputs,
            outputs=fp32.outputs,
            parity=fp32.parity,
        )
        writer.commit_like(bundle)
    done = edge_tx("eval", path, "--data", texts, "--metric", "agreement", "--json", "-q")
    assert done.code == 14
    graphs = {row["graph"]: row for row in json.loads(done.out)["graphs"]}
    assert graphs["fake-fp32"]["scores"] == {"agreement": 1.0}
    assert graphs["onnx-int8"]["scores"] == {}
    assert graphs["onnx-int8"]["note"] in done.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("quantize", "BUNDLE"), 2, "no fp32 graph|real inputs: give"),
        (("quantize", "BUNDLE", "--recipe", "static_w8a8"), 2, "real inputs: give"),
        (("quantize", "nothing.bundle", "--data", "TEXTS"), 8, "no bundle at"),
        (("quantize", "BUNDLE", "--data", "nothing.csv"), 11, "cannot read nothing.csv"),
        (("quantize", "BUNDLE", "--max-drop", "3"), 2, "Invalid value for '--max-drop'"),
        (("eval", "BUNDLE", "--data", "TEXTS", "--metric", "accuracy"), 11, "has no label"),
        (("eval", "BUNDLE", "--data", "TEXTS", "--metric", ","), 2, "no metric to measure"),
        (("eval", "BUNDLE", "--data", "TEXTS", "--metric", "em"), 2, "is not for"),
    ],
)
def test_mistakes_are_one_line(
    fake_bundle: Run, edge_tx: Run, texts: Path, args: tuple[str, ...], code: int, message: str
) -> None:
    import re

    path = fake_bundle("text-classification")
    places = {"BUNDLE": path, "TEXTS": texts}
    done = edge_tx(*(places.get(arg, arg) for arg in args), "-q")
    assert done.code == code, done.err
    assert re.search(message, done.err)
    assert done.err.count("\n") == 1


def test_recipes_lists_who_can_do_what(edge_tx: Run) -> None:
    record = json.loads(edge_tx("recipes", "--json").out)
    names = {row["name"]: row["backends"] for row in record["recipes"]}
    assert set(names) == {
        "dynamic_w8", "static_w8a8", "static_w8a16", "weight_w8", "weight_w4", "fp16"
    }  # fmt: skip
    assert all(names.values())
    assert "fake" not in {backend for able in names.values() for backend in able}
    assert "static_w8a8" in edge_tx("recipes").out


@pytest.mark.export
def test_export_quantises_too(tiny_model: Any, edge_tx: Run, texts: Path, tmp_path: Path) -> None:
    args = (
        "export",
        tiny_model("bert", "text-classification", shallow=True),
        "-o",
        tmp_path / "both.bundle",
    )
    how = ("--quantize", "weight_w8", "--data", texts, "--goal", "size", "--max-drop", "0.2")
    done = edge_tx(*args, *how, "--json", "-q")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert [graph["name"] for graph in record["graphs"]] == ["onnx-fp32", "onnx-weight_w8"]
    assert record["quantized"]["outcomes"][0]["written"]
    assert edge_tx("verify", tmp_path / "both.bundle", "-q").code == 0
    missing = edge_tx(*args, "--quantize", "static_w8a8", "-q")
    assert (missing.code, "give calibration data" in missing.err) == (2, True)


KILL = """
import os, signal, sys
from edge_tx.calibration import fake, job, likeness
from edge_tx import bundle_writer, swap
import edge_tx

def dies(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

places = {
    "quantising": (fake, "quantize"),
    "comparing": (job, "likeness"),
    "recording": (bundle_writer.BundleWriter, "add_graph"),
    "committing": (bundle_writer.BundleWriter, "commit_like"),
    "syncing": (swap, "sync_tree"),
    "publishing": (swap, "publish"),
}
setattr(*places[sys.argv[1]], dies)
edge_tx.quantize(sys.argv[2], backend="fake", recipe="weight_w8", data=sys.argv[3],
                 target="x86-vnni")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    "moment", ["quantising", "comparing", "recording", "committing", "syncing", "publishing"]
)
def test_a_kill_at_any_moment_leaves_the_bundle_as_it_was(
    fake_bundle: Run, edge_tx: Run, texts: Path, moment: str
) -> None:
    path = fake_bundle("text-classification", layers={"layer.0": (1.0, 0.4)})
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", KILL, moment, str(path), str(texts)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    with Bundle.open(path) as bundle:
        bundle.check()
    # The next run clears what the dead one left, and succeeds.
    again = edge_tx("quantize", path, *AWAY, "--data", texts, "--recipe", "weight_w8", "-q")
    assert again.code == 0, again.err
    assert list(path.parent.glob(".*edge_tx*")) == []
