"""Tiny students that learn from tiny teachers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_tx.calibration.distillation import distill, recover  # noqa: E402
from edge_tx.calibration.distillation_data import tokenised  # noqa: E402
from edge_tx.calibration.distillation_plan import Training, parse_losses  # noqa: E402
from edge_tx.errors import InvalidConfig, InvalidInput, UnknownName  # noqa: E402
from edge_tx.examples import read_examples  # noqa: E402
from edge_tx.exporters import source  # noqa: E402
from edge_tx.metric_table import Answered, find_metric  # noqa: E402
from edge_tx.tasks.token_classification import Entities, Entity  # noqa: E402
from edge_tx.text import Tokenizer  # noqa: E402

pytestmark = pytest.mark.export

Model = Callable[..., Path]
WORDS = ("the", "my", "old", "red", "cat", "dog", "film", "mat", "sat", "good")
TEXTS = [f"{a} {b} {c}{' sat on the mat' * (len(a) % 3)}" for a in WORDS for b in WORDS[:5]
         for c in WORDS[5:8]]  # fmt: skip
SHORT = Training({"output": 1.0}, epochs=3, rate=2e-3, measurements=2, batch=16)


def weights(folder: Path) -> dict[str, Any]:
    return dict(source.load(folder).module.state_dict())


@pytest.mark.parametrize(
    ("task", "losses"),
    [
        ("text-classification", "output"),
        ("text-classification", "output,hidden,relations"),
        ("token-classification", "output,hidden=0.5"),
        ("question-answering", "output"),
        ("sentence-embedding", "output"),
        ("feature-extraction", "output,relations"),
        ("text-ranking", "mse"),
        ("fill-mask", "output"),
    ],
)
def test_a_student_with_fewer_layers_comes_nearer_to_its_teacher(
    task: str, losses: str, tiny_model: Model, tmp_path: Path
) -> None:
    model = tiny_model("bert", task, num_hidden_layers=3)
    rows: list[Any] = [f"{t} [MASK]." if task == "fill-mask" else t for t in TEXTS]
    if task in ("question-answering", "text-ranking"):
        rows = [("who sat?", text) for text in TEXTS]
    # A single score for each text is less to learn from than the shape of several.
    longer = 4 if task == "text-ranking" else 1
    training = replace(
        SHORT, losses=parse_losses(losses), epochs=3 * longer, measurements=2 * longer
    )
    done = distill(
        model, "layers=2", tmp_path / "out", data=rows, training=training, task=task, threads=1,
        metric="" if task == "text-ranking" else "cosine",
    )  # fmt: skip
    assert done.teacher == 1.0
    assert done.before < done.after <= 1
    assert done.history[0]["metric"] == done.before
    assert done.parameters[0] > done.parameters[1]
    first, last = (done.history[i]["loss"] for i in (1, -1))
    assert last < first
    again = source.load(tmp_path / "out", task=task)
    assert again.module.transformer.config.num_hidden_layers == 2
    record = json.loads((tmp_path / "out" / "distillation.json").read_text())
    assert record["after"] == done.after
    assert record["training"]["losses"].keys() == training.losses.keys()
    assert not (tmp_path / "out.distill").exists()


def test_sentence_models_keep_their_modules(tiny_sentence_model: Model, tmp_path: Path) -> None:
    model = tiny_sentence_model(dense=16, num_hidden_layers=3)
    done = distill(
        model, "layers=search:2", tmp_path / "out", data=TEXTS, training=SHORT, threads=1
    )
    assert done.metric == "cosine"
    assert done.before < done.after
    assert source.load(tmp_path / "out").source.modules == source.load(model).source.modules


def test_labels_can_be_learned_from(tiny_model: Model, tmp_path: Path) -> None:
    model = tiny_model("bert", "text-classification", num_hidden_layers=3)
    rows = [{"text": text, "label": "positive" if "cat" in text else 0} for text in TEXTS]
    training = replace(SHORT, losses={"labels": 1.0}, epochs=12)
    done = distill(
        model,
        "layers=2",
        tmp_path / "a",
        data=rows,
        dev=rows,
        training=training,
        metric="accuracy",
        threads=1,
    )
    assert done.after > 0.9 > done.before


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2", "modernbert"])
def test_what_is_trained_is_what_the_metric_reads(tiny_model: Model, family: str) -> None:
    traced = source.load(tiny_model(family, "token-classification"))
    words = ["he", "cats", "sat", "quietly", "東京", "x"]
    tags = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "B-PER"]
    [example] = read_examples([{"tokens": words, "tags": tags}], traced.task)
    [labels] = tokenised([example], traced, {}, labelled=True).labels
    names = traced.settings.labels
    [encoding] = Tokenizer(traced.tokenizer_json, traced.policy).encode([" ".join(words)])
    entities = tuple(
        Entity(names[index] if index >= 0 else "B-LOC", 1.0, "", " ".join(words)[a:b], a, b)
        for index, (a, b), special in zip(
            labels, encoding.offsets, encoding.special_tokens_mask, strict=True
        )
        if not special
    )
    answered = Answered((Entities(entities, 0),), ())
    assert find_metric("f1", traced.task).predict(answered, example) == tags


def test_a_word_has_its_tag_at_its_first_piece(tiny_model: Model) -> None:
    traced = source.load(tiny_model("roberta", "token-classification"))
    words = ["Unbelievable", "cats", "sat", "quietly"]
    rows = [{"tokens": words, "tags": ["B-PER", "I-PER", "O", "B-LOC"]}]
    corpus = tokenised(list(read_examples(rows, traced.task)), traced, {}, labelled=True)
    [row], [labels] = corpus.rows, corpus.labels
    tokenizer = Tokenizer(traced.tokenizer_json, traced.policy)
    [encoding] = tokenizer.encode([" ".join(words)])
    names = traced.settings.labels
    found = [
        (encoding.word_ids[place], names[index]) for place, index in enumerate(labels) if index >= 0
    ]
    assert row.ids == encoding.ids
    assert found == [(0, "B-PER"), (1, "I-PER"), (2, "O"), (3, "B-LOC")]
    assert len(labels) == len(row.ids) > 7


@pytest.mark.parametrize("losses", ["output", "output,hidden"])
def test_a_run_that_was_killed_ends_with_the_same_bits(
    losses: str, tiny_model: Model, tmp_path: Path
) -> None:
    """Dropout, accumulation, embeddings and a projection: all that has a state."""
    teacher = tiny_model("bert", "text-classification", num_hidden_layers=3)
    student = tiny_model("bert", "text-classification", hidden_size=24, intermediate_size=32)
    training = replace(
        SHORT,
        losses=parse_losses(losses),
        dropout=True,
        embeddings=True,
        accumulate=2,
        save_seconds=0.0,
    )

    def run(name: str, **options: Any) -> dict[str, Any]:
        distill(
            teacher,
            student,
            tmp_path / name,
            data=TEXTS[:96],
            threads=1,
            training=training,
            **options,
        )
        return weights(tmp_path / name)

    whole = run("whole")
    stopped = 0
    while not (tmp_path / "killed").exists():
        stopped += 1
        try:
            run("killed", progress=_Killer(stopped))
        except KeyboardInterrupt:
            continue
    assert stopped > 2
    pieces = weights(tmp_path / "killed")
    assert all(torch.equal(pieces[name], value) for name, value in whole.items())


class _Killer:
    """Ends a run at its n-th measurement."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, step: str, _done: int, _total: int, /) -> None:
        if step.startswith("distilling"):
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


def test_losses_are_read() -> None:
    assert parse_losses("output, hidden=0.5") == {"output": 1.0, "hidden": 0.5}
    with pytest.raises(UnknownName, match="unknown loss"):
        parse_losses("")


def test_a_state_of_another_run_is_not_used(tiny_model: Model, tmp_path: Path) -> None:
    model = tiny_model("bert", "text-classification", num_hidden_layers=3)
    work = tmp_path / "work"

    def run(rate: float, **options: Any) -> None:
        training = replace(SHORT, save_seconds=0.0, rate=rate)
        distill(
            model, "layers=2", tmp_path / "out", data=TEXTS[:64], threads=1, work=work,
            training=training, **options,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run(1e-3, progress=_Killer(3))
    state = work / "state.safetensors"
    whole = state.read_bytes()
    with pytest.raises(InvalidConfig, match="other settings"):
        run(2e-3)
    state.write_bytes(whole[:100])
    with pytest.raises(InvalidConfig, match="remove it"):
        run(1e-3)
    state.write_bytes(whole)
    run(1e-3)
    assert not state.exists()


def test_a_teacher_is_asked_once(tiny_model: Model, tmp_path: Path) -> None:
    model = tiny_model("bert", "token-classification", num_hidden_layers=3)
    work = tmp_path / "work"
    stamps = []
    for seed in (0, 1):
        distill(
            model, "layers=2", tmp_path / f"out{seed}", data=TEXTS[:64], dev=TEXTS[:20], work=work,
            training=replace(SHORT, seed=seed), threads=1,
        )  # fmt: skip
        stamps.append({path: path.stat().st_mtime_ns for path in work.glob("answers-*.npy")})
    assert stamps[0] == stamps[1] != {}


def test_time_ends_a_run_and_patience_too(tiny_model: Model, tmp_path: Path) -> None:
    teacher = source.load(tiny_model("bert", "text-classification", num_hidden_layers=3))
    student = source.load(tiny_model("bert", "text-classification"))
    training = replace(SHORT, epochs=10_000, tokens=256)
    done = recover(student, teacher, TEXTS, minutes=0.02, training=training)
    assert done.after >= done.before
    assert 1.2 <= done.seconds < 30
    done = recover(
        student, teacher, TEXTS, minutes=10,
        training=replace(training, patience=1, rate=1e-12, measurements=1000),
    )  # fmt: skip
    assert len(done.history) == 2
    assert not any(p.requires_grad for p in student.module.parameters())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"losses": {"outputs": 1.0}}, UnknownName, "did you mean 'output'"),
        ({"losses": {"output": "x"}}, InvalidConfig, "is a number"),
        ({"losses": {"output": -1}}, InvalidConfig, "above 0"),
        ({"losses": {}}, InvalidConfig, "no loss"),
        ({"temperature": 0}, InvalidConfig, "temperature must be above 0"),
        ({"batch": 0, "warmup": 1.0}, InvalidConfig, r"batch must be.*; warmup must be"),
        ({"rate": float("nan")}, InvalidConfig, "rate must be"),
    ],
)
def test_training_that_makes_no_sense(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Training(**changes)


def test_students_that_cannot_learn(tiny_model: Model, tmp_path: Path) -> None:
    teacher = tiny_model("bert", "text-classification")

    def run(student: str | Path, **options: Any) -> None:
        distill(
            teacher,
            student,
            tmp_path / "out",
            **{"data": TEXTS, "training": SHORT, "threads": 1, **options},
        )

    with pytest.raises(InvalidConfig, match="has 2 layers"):
        run("layers=2")
    with pytest.raises(InvalidConfig, match="layers=0,2,5"):
        run("layers=some")
    with pytest.raises(InvalidConfig, match=r"gives logits: .*3.*labels are.*tokenizers give"):
        run(tiny_model("roberta", "text-classification", labels=["a", "b"]))
    with pytest.raises(InvalidInput, match="16 or more"):
        run("layers=1", data=TEXTS[:5])
    with pytest.raises(InvalidInput, match="has no label"):
        run("layers=1", training=replace(SHORT, losses={"labels": 1.0}))
    with pytest.raises(InvalidConfig, match="not known"):
        distill(
            tiny_model("mobilebert", "text-classification"), "layers=1", tmp_path / "out",
            data=TEXTS, training=replace(SHORT, losses={"relations": 1.0}),
        )  # fmt: skip
    with pytest.raises(InvalidConfig, match="smaller rate"):
        run("layers=1", training=replace(SHORT, rate=1e30))
    assert not (tmp_path / "out").exists()
