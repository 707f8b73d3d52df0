"""Pruning from the folder to the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_tx.calibration.pruning import load, prune
from edge_tx.errors import (
    AccuracyGateFailed,
    EdgeTxError,
    InvalidConfig,
    InvalidInput,
    UnknownName,
    UnsupportedModel,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.export

TASKS = ("text-classification", "token-classification", "question-answering", "fill-mask",
         "feature-extraction", "text-ranking")  # fmt: skip


@pytest.fixture(scope="module")
def texts(tiny_tokenizers: Any) -> list[str]:
    return list(tiny_tokenizers.corpus()[:40])


def outputs(folder: Path, module: Any = None) -> Any:
    from edge_tx.exporters import source

    traced = source.load(folder)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 200, (3, 11), generator=generator)
    feeds = (ids, torch.ones_like(ids), torch.zeros_like(ids))[: len(traced.inputs)]
    return (module or traced.module)(*feeds)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_nothing_removed_changes_no_output(
    tiny_model: Any, texts: list[str], tmp_path: Path, family: str
) -> None:
    folder = tiny_model(family, "text-classification")
    done = prune(folder, tmp_path / "out", data=texts, target_flops=1.0, metric="agreement")
    assert done.flops_ratio == 1
    assert done.score_after == 1
    assert done.plain
    assert torch.equal(outputs(folder)[0], outputs(tmp_path / "out")[0])


@pytest.mark.parametrize("task", TASKS)
def test_every_task_down_to_a_target(
    tiny_model: Any, texts: list[str], tmp_path: Path, task: str
) -> None:
    inputs = [(text, texts[0]) for text in texts] if task in _PAIRS else texts
    folder = tiny_model("bert", task)
    done = prune(
        folder, tmp_path / "out", data=_masked(inputs, task), target_flops=0.6, metric="cosine",
        task=task,
    )  # fmt: skip
    assert 0.5 < done.flops_ratio <= 0.6
    assert done.score_after is not None
    assert done.score_after > 0.5
    assert all(np.isfinite(out).all() for out in outputs(tmp_path / "out"))


_PAIRS = ("question-answering", "text-ranking")


def _masked(inputs: list[Any], task: str) -> list[Any]:
    return [f"{text} [MASK]" for text in inputs] if task == "fill-mask" else inputs


def test_embeddings_keep_their_pooling(
    tiny_sentence_model: Any, texts: list[str], tmp_path: Path
) -> None:
    from edge_tx.exporters import source

    folder = tiny_sentence_model()
    done = prune(folder, tmp_path / "out", data=texts, target_flops=0.7, metric="cosine")
    assert done.score_after is not None
    assert done.score_after > 0.8
    assert source.load(tmp_path / "out").task == "sentence-embedding"


def test_fitting_beats_leaving_the_rest_as_it_was(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    """The surgeon's cut is closer to the model than dropping the same units without a fit."""
    from edge_tx.calibration.pruning_encoder import FFN, Encoder, Key
    from edge_tx.exporters import source

    folder = tiny_model("bert", "feature-extraction")
    prune(folder, tmp_path / "out", data=texts, ffn=16, seq=16)
    fitted = outputs(tmp_path / "out")[0]
    traced = source.load(folder)
    encoder = Encoder(traced.module.transformer)
    whole = outputs(folder)[0]
    for number in range(len(encoder.layers)):
        encoder.keep(Key(number, FFN), range(16))
    bare = outputs(folder, traced.module)[0]
    assert (fitted - whole).norm() < 0.8 * (bare - whole).norm()


def test_sizes_can_be_named(tiny_model: Any, texts: list[str], tmp_path: Path) -> None:
    folder = tiny_model("bert", "text-classification", num_hidden_layers=4)
    done = prune(folder, tmp_path / "out", data=texts, heads=2, ffn=32, layers=(0, 1, 3))
    assert {(len(row.heads), row.neurons) for row in done.layers.values()} == {(2, 32)}
    assert list(done.layers) == [0, 1, 3]
    assert done.removed_layers == (2,)
    assert len(load(tmp_path / "out").bert.encoder.layer) == 3
    record = json.loads((tmp_path / "out" / "pruning.json").read_text())
    assert record["layers"]["3"]["neurons"] == 32


def test_plain_loads_in_transformers(tiny_model: Any, texts: list[str], tmp_path: Path) -> None:
    import transformers

    folder = tiny_model("bert", "text-classification")
    done = prune(folder, tmp_path / "out", data=texts, target_flops=0.8, plain=True, seq=8)
    assert done.plain
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert plain.config.intermediate_size == 16
    assert not hasattr(plain.config, "edge_tx_pruning")


def test_a_pruned_model_can_be_pruned_again(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    folder = tiny_model("bert", "text-classification")
    first = prune(folder, tmp_path / "one", data=texts, target_flops=0.8)
    second = prune(tmp_path / "one", tmp_path / "two", data=texts, target_flops=0.7)
    assert second.after.parameters < first.after.parameters
    assert set(second.layers[1].heads) <= set(first.layers[1].heads)
    assert torch.isfinite(outputs(tmp_path / "two")[0]).all()


def test_the_same_seed_gives_the_same_model(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    folder = tiny_model("bert", "text-classification")
    for name in ("one", "two"):
        prune(folder, tmp_path / name, data=texts, target_flops=0.5, samples=16)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_layers_that_are_missed_least_are_found(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    """Two layers of four give what they get: they are the ones that go."""
    import transformers

    folder = tiny_model("bert", "text-classification", num_hidden_layers=4)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for number in (0, 2):
            for name in ("attention.output.dense", "output.dense"):
                layer = model.bert.encoder.layer[number].get_submodule(name)
                layer.weight.zero_()
                layer.bias.zero_()
    made = tmp_path / "made"
    model.save_pretrained(made)
    for path in folder.glob("*token*"):
        (made / path.name).write_bytes(path.read_bytes())
    done = prune(made, tmp_path / "out", data=texts, layers="search:2")
    assert done.removed_layers == (0, 2)
    assert done.plain


def test_a_gate_that_fails_leaves_no_state_of_the_training(
    tiny_model: Any, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_tx.calibration.pruning_job import Job

    def fails(job: Job) -> None:
        assert job.plan.work is not None
        job.plan.work.mkdir()
        raise AccuracyGateFailed("too far off")

    monkeypatch.setattr(Job, "run", fails)
    folder = tiny_model("bert", "text-classification")
    with pytest.raises(AccuracyGateFailed):
        prune(folder, tmp_path / "out", data=texts, heads=1, metric="cosine", recover=0.02)
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_can_be_trained(tiny_model: Any, texts: list[str], tmp_path: Path) -> None:
    folder = tiny_model("bert", "text-classification")
    rows = [f"{text} {other}" for text in texts[:12] for other in texts[:10]]
    cut = prune(folder, tmp_path / "cut", data=rows, heads=1, ffn=8, metric="cosine")
    steps = []
    done = prune(
        folder, tmp_path / "out", data=iter(rows), heads=1, ffn=8, metric="cosine", recover=0.02,
        progress=lambda step, *_: steps.append(step),
    )  # fmt: skip
    assert done.recovery is not None
    assert done.recovery.steps > 0
    assert done.recovery.after >= done.recovery.before
    assert done.after == cut.after
    assert any(step.startswith("distilling") for step in steps)
    record = json.loads((tmp_path / "out" / "pruning.json").read_text())
    assert record["recovery"]["after"] == done.recovery.after
    assert cut.to_dict()["recovery"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "out"]


# ---------------------------------------------------------------------------------- the gate


def test_a_smaller_cut_is_searched(tiny_model: Any, texts: list[str], tmp_path: Path) -> None:
    folder = tiny_model("bert", "text-classification")
    free = prune(folder, tmp_path / "free", data=texts, target_flops=0.3, metric="cosine")
    assert free.score_after is not None
    drop = (1 - free.score_after) / 2
    held = prune(
        folder, tmp_path / "held", data=texts, target_flops=0.3, metric="cosine", max_drop=drop
    )
    assert held.score_after is not None
    assert held.score_after >= 1 - drop
    assert held.target is not None
    assert held.target > 0.3
    assert len(held.attempts) > 1


def test_no_cut_that_holds_is_an_error_and_writes_nothing(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    folder = tiny_model("bert", "text-classification")
    with pytest.raises(AccuracyGateFailed, match=r"falls from 1\.0000 by more than 0 ") as caught:
        prune(folder, tmp_path / "out", data=texts, target_flops=0.3, metric="cosine", max_drop=0)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tiny_model: Any, texts: list[str], tmp_path: Path) -> None:
    def stop(step: str, _done: int, _total: int) -> None:
        if step == "writing the folder":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(
            tiny_model("bert", "text-classification"), tmp_path / "out", data=texts,
            target_flops=0.5, progress=stop,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


WRONG: dict[str, tuple[dict[str, Any], type[EdgeTxError], str]] = {
    "nothing": ({}, InvalidConfig, "nothing to remove"),
    "both": ({"target_flops": 0.5, "target_latency": 0.5}, InvalidConfig, "not both"),
    "mixed": ({"target_flops": 0.5, "heads": 2}, InvalidConfig, "decides on heads"),
    "zero": ({"target_flops": 0}, InvalidConfig, "share that is left"),
    "percent": ({"target_flops": 50}, InvalidConfig, "share that is left"),
    "unreachable": ({"target_flops": 0.05}, InvalidConfig, "out of reach"),
    "unreachable-plain": ({"target_flops": 0.3, "plain": True}, InvalidConfig, "out of reach"),
    "heads": ({"heads": 99}, InvalidConfig, "layers have 4 heads"),
    "ffn": ({"ffn": 4096}, InvalidConfig, "layers have 48 neurons"),
    "layers": ({"layers": (0, 7)}, InvalidConfig, "numbers from 0 to 1"),
    "too-many-layers": ({"layers": 3}, InvalidConfig, "of 2 layers"),
    "method": ({"target_flops": 0.5, "method": "surgeo"}, UnknownName, "did you mean 'surgeon'"),
    "metric": ({"target_flops": 0.5, "metric": "acuracy"}, UnknownName, "accuracy"),
    "no-metric": ({"target_flops": 0.5, "max_drop": 0.1}, InvalidConfig, "needs a metric"),
    "few": ({"target_flops": 0.5, "data": ["one"]}, InvalidInput, "8 or more"),
    "label": ({"target_flops": 0.5, "metric": "accuracy"}, InvalidInput, "has no label"),
    "which-layers": ({"layers": "search:1,2"}, InvalidConfig, "search:4, not 'search:1,2'"),
    "search-too-many": ({"layers": "search:2"}, InvalidConfig, "from 1 to 1 layers can stay"),
    "recover": ({"target_flops": 0.5, "recover": -1}, InvalidConfig, "recover is minutes"),
    "backend": ({"target_latency": 0.5, "backend": "onx"}, UnknownName, "did you mean 'onnx'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(
    tiny_model: Any, texts: list[str], tmp_path: Path, case: str
) -> None:
    given, kind, message = WRONG[case]
    with pytest.raises(kind, match=message) as caught:
        prune(
            tiny_model("bert", "text-classification"), tmp_path / "out",
            **{"data": texts, **given},
        )  # fmt: skip
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_replaced(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(InvalidConfig, match="is there already"):
        prune(tiny_model("bert", "text-classification"), tmp_path, data=texts, target_flops=0.5)


def test_a_family_that_shares_its_layers_says_so(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModel, match="one and the same"):
        prune(
            tiny_model("albert", "text-classification"), tmp_path / "out", data=texts,
            target_flops=0.5,
        )  # fmt: skip


# ------------------------------------------------------------------------------- the backends


def test_onnx_has_parity(tiny_model: Any, texts: list[str], tmp_path: Path) -> None:
    """MPNet: every layer's heads choose their columns of one table of positions."""
    pytest.importorskip("onnxruntime")
    _exports(tiny_model("mpnet", "text-classification"), texts, tmp_path, "onnx")


@pytest.mark.parametrize(("backend", "module"), [("openvino", "openvino"), ("tensorrt", "onnx"),
                                                 ("tflite", "ai_edge_litert")])  # fmt: skip
def test_other_backends_have_parity(
    tiny_model: Any, texts: list[str], tmp_path: Path, backend: str, module: str
) -> None:
    pytest.importorskip(module)
    if backend == "tflite":
        pytest.importorskip("litert_torch")
    folder = tiny_model("bert", "text-classification", num_hidden_layers=1)
    _exports(folder, texts, tmp_path, backend)


def _exports(folder: Path, texts: list[str], tmp_path: Path, backend: str) -> None:
    from edge_tx.exporters.pipeline import export

    done = prune(folder, tmp_path / "cut", data=texts, heads=3, ffn=32)
    assert not done.plain
    with export(tmp_path / "cut", tmp_path / "b", to=[backend], max_length=32) as bundle:
        [graph] = bundle.graphs
        assert graph.parity.max_abs_error < 1e-4


def test_a_table_of_times_is_measured_here(
    tiny_model: Any, texts: list[str], tmp_path: Path
) -> None:
    """All of the time may be used, so nothing needs to go, whatever the clock says."""
    pytest.importorskip("onnxruntime")
    folder = tiny_model("bert", "text-classification", num_attention_heads=2, intermediate_size=32)
    done = prune(folder, tmp_path / "out", data=texts, target_latency=1.0, seq=16)
    assert done.flops_ratio == 1
    assert done.asked == 1.0


def test_a_smaller_size_never_costs_more_in_the_table() -> None:
    from edge_tx.calibration.pruning_latency import LatencyTable, _rising

    points = _rising([(1, 5.0), (4, 4.0), (8, 9.0), (12, 8.5)])
    assert points == ((1, 4, 8, 12), (0.0, 0.0, 4.5, 4.5))
    table = LatencyTable("fake", 128, 100.0, 10.0, {"attention": points})
    assert table.cost("attention", 6) == pytest.approx(2.25)
    assert table.cost("attention", 12) == table.cost("attention", 9)


@pytest.mark.shared
@pytest.mark.timeout(600)
def test_the_real_model_holds_at_six_tenths(shared_dir: Path, tmp_path: Path) -> None:
    done = prune(
        shared_dir / "models/sst2-minilm",
        tmp_path / "out",
        data=shared_dir / "data/sst2/train.jsonl.gz",
        dev=shared_dir / "data/sst2/dev.jsonl",
        metric="accuracy",
        target_flops=0.6,
        samples=512,
    )
    assert done.score_before == pytest.approx(0.8933, abs=0.001)
    assert done.score_after is not None
    assert done.score_after > 0.8933 - 0.02
