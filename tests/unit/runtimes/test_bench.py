"""Sweeps: which cells there are, what becomes of those that fail, and what a report then holds."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge_tx
from edge_tx.bench import overhead
from edge_tx.bench.cell import Cell
from edge_tx.bench.failures import Failed, failed, ran_out_of_memory
from edge_tx.bench.inputs import Material, spread, texts_of
from edge_tx.bench.measured import Measured
from edge_tx.bench.plan import Plan, Subject
from edge_tx.bench.process import in_fresh_process
from edge_tx.bench.runner import INTERRUPTED, MORE_TURNS, run
from edge_tx.bench.sweep import Axes
from edge_tx.bundle import Bundle
from edge_tx.device import hardware_threads
from edge_tx.errors import BundleError, InvalidConfig, MissingDependency, UnknownName
from edge_tx.report import Memory, Report, Stretch, ThreadBudget
from edge_tx.runtimes.phases import PhaseClock

TWO = {"fake-fp32": {}, "fake-int8": {"recipe": "dynamic_w8", "cosine": 0.98}}
QUICK = Plan(seconds=0.001, min_calls=5, repeats=0, axes=Axes(threads=(1,)))

Graphs = Callable[..., Path]


def pretend(cell: Cell) -> Measured:
    """What a process would answer, without one."""
    placement = {"device": "cpu", "provider": "numpy"}
    samples = tuple(1000 * cell.threads + n for n in range(10))
    return Measured(
        load_ns=5,
        first_ns=4,
        warm_up_calls=20,
        steady=True,
        samples_ns=samples,
        cpu_ns=10,
        also_ns=(),
        list_inputs=cell.list_inputs,
        list_ns=10**6,
        list_cpu_ns=1,
        memory=Memory(1),
        budget=ThreadBudget(cell.threads, cell.threads, 3, 1.0),
        placement=placement,
    )


class TestSweep:
    def test_every_combination_is_a_row_in_order(self, fake_graphs: Graphs) -> None:
        seen: list[Cell] = []

        def measure(cell: Cell) -> Measured:
            seen.append(cell)
            return pretend(cell)

        axes = Axes((1, 2), (1, 4), (0, 8))
        report = run(fake_graphs(TWO), replace(QUICK, axes=axes), measure=measure)
        keys = [(r.graph, r.threads, r.batch, r.seq) for r in report.rows]
        assert keys == [
            (g, t, b, s) for g in TWO for t in (1, 2) for b in (1, 4) for s in (0, 8)
        ]  # fmt: skip
        measured = [(c.graph, c.threads, c.batch) for c in seen]
        assert len(measured) == len(keys)
        assert measured != [key[:3] for key in keys], "the order is shuffled"
        assert all(cell.list_inputs >= 256 for cell in seen if cell.batch == 1)
        assert all(cell.list_inputs == 0 for cell in seen if cell.batch > 1)
        assert Report.from_json(report.to_json()) == report

    def test_the_same_seed_is_the_same_order(self, fake_graphs: Graphs) -> None:
        path = fake_graphs(TWO)

        def order(seed: int) -> list[tuple[str, int, int]]:
            seen: list[tuple[str, int, int]] = []

            def measure(cell: Cell) -> Measured:
                seen.append((cell.graph, cell.threads, cell.batch))
                return pretend(cell)

            plan = replace(QUICK, axes=Axes((1, 2), (1, 2, 3)), seed=seed)
            run(path, plan, measure=measure)
            return seen

        assert order(7) == order(7) != order(8)

    def test_one_cell_is_measured_again_for_the_noise(self, fake_graphs: Graphs) -> None:
        report = run(fake_graphs(TWO), replace(QUICK, repeats=None), measure=pretend)
        assert sorted(len(row.repeats_ns) for row in report.rows) == [0, 1]
        assert report.context.noise is not None
        assert report.context.noise.cells == 1

    def test_every_cell_again(self, fake_graphs: Graphs) -> None:
        report = run(fake_graphs(TWO), replace(QUICK, repeats=2), measure=pretend)
        assert [len(row.repeats_ns) for row in report.rows] == [2, 2]

    def test_a_disturbed_cell_is_measured_again_and_then_said_to_be_one(
        self, fake_graphs: Graphs
    ) -> None:
        turns = {"fake-fp32": [2, 2, 1], "fake-int8": [1, 1]}

        def measure(cell: Cell) -> Measured:
            slowness = turns[cell.graph].pop(0)
            stretches = (Stretch(10, (100 * slowness,), ()),)
            samples = tuple(1000 * slowness for _ in range(10))
            return replace(pretend(cell), samples_ns=samples, stretches=stretches)

        report = run(fake_graphs(TWO), replace(QUICK, repeats=None, seed=1), measure=measure)
        rows = {row.graph: row for row in report.rows}
        assert {name: (row.p50_ns, row.undisturbed) for name, row in rows.items()} == {
            "fake-fp32": (1000, 1.0), "fake-int8": (1000, 1.0),
        }  # fmt: skip
        assert len(rows["fake-fp32"].repeats_ns) == 2 - len(turns["fake-fp32"])
        assert Report.from_json(report.to_json()) == report

    def test_what_stays_disturbed_makes_the_machine_a_noisy_one(self, fake_graphs: Graphs) -> None:
        seen: list[str] = []

        def measure(cell: Cell) -> Measured:
            seen.append(cell.graph)
            slowness = 2 if cell.graph == "fake-fp32" else 1
            return replace(pretend(cell), stretches=(Stretch(10, (100 * slowness,), ()),))

        report = run(fake_graphs(TWO), replace(QUICK, repeats=1), measure=measure)
        assert [seen.count(name) for name in TWO] == [2 + MORE_TURNS, 2]
        assert report.rows[0].undisturbed == 0
        assert report.context.noise is not None
        assert "1 row with less than half" in report.context.noise.said
        seen.clear()
        run(fake_graphs(TWO), QUICK, measure=measure)
        assert len(seen) == 2, "not with --repeats 0"

    def test_backends_and_graphs_choose(self, fake_graphs: Graphs) -> None:
        path = fake_graphs(TWO)
        for plan in (replace(QUICK, graphs=("fake-int8",)), replace(QUICK, backends=("fake",))):
            rows = run(path, plan, measure=pretend).rows
            assert [row.graph for row in rows] == (list(plan.graphs) or list(TWO))
        with pytest.raises(UnknownName, match="tflite"):
            run(path, replace(QUICK, backends=("tflite",)), measure=pretend)

    def test_more_threads_than_the_budget_are_noted(self, fake_graphs: Graphs) -> None:
        def greedy(cell: Cell) -> Measured:
            return replace(pretend(cell), budget=ThreadBudget(1, 1, 9, 3.5))

        (row, _) = run(fake_graphs(TWO), QUICK, measure=greedy).rows
        assert row.note == "kept 3.5 cores busy with a budget of 1"


class TestFailures:
    """Each is a row that says so, and the others are measured."""

    def test_a_graph_that_does_not_load(self, fake_graphs: Graphs) -> None:
        broken, good = run(fake_graphs(TWO, broken=("fake-fp32",)), QUICK).rows
        assert (broken.status, broken.failure) == ("failed", "error")
        assert "not a fake graph" in broken.note
        assert (good.status, good.samples_ns != ()) == ("ok", True)

    def test_a_backend_that_is_not_here(self, fake_graphs: Graphs) -> None:
        graphs = {"fake-fp32": {}, "strange-fp32": {"backend": "a_plug_in"}}
        good, strange = run(fake_graphs(graphs), QUICK, measure=pretend).rows
        assert good.status == "ok"
        assert (strange.status, "a_plug_in" in strange.note) == ("skipped", True)

    def test_a_bundle_that_does_not_open(self, fake_graphs: Graphs, tmp_path: Path) -> None:
        rows = run([tmp_path / "nothing", fake_graphs(TWO)], QUICK, measure=pretend).rows
        assert [row.status for row in rows] == ["failed", "ok", "ok"]
        assert "no bundle at" in rows[0].note
        with pytest.raises(BundleError):
            run(tmp_path / "nothing", QUICK)

    def test_an_interrupted_sweep_keeps_what_it_has(self, fake_graphs: Graphs) -> None:
        turns = iter(range(9))

        def measure(cell: Cell) -> Measured:
            if next(turns) == 1:
                raise KeyboardInterrupt
            return pretend(cell)

        rows = run(fake_graphs(TWO), QUICK, measure=measure).rows
        assert sorted((row.status, row.note) for row in rows) == [
            ("ok", ""), ("skipped", INTERRUPTED),
        ]  # fmt: skip

    @pytest.mark.parametrize("kind", ["killed", "out-of-memory", "timeout", "error"])
    def test_the_sweep_goes_on_after_any_failure(self, fake_graphs: Graphs, kind: str) -> None:
        def measure(cell: Cell) -> Measured | Failed:
            return Failed("why", kind) if cell.graph == "fake-fp32" else pretend(cell)

        report = run(fake_graphs(TWO), replace(QUICK, repeats=1), measure=measure)
        bad, good = report.rows
        assert (bad.status, bad.failure, bad.note) == ("failed", kind, "why")
        assert (good.status, len(good.repeats_ns)) == ("ok", 1)
        assert Report.from_json(report.to_json()) == report

    def test_tokens_that_the_model_does_not_read(self, fake_graphs: Graphs) -> None:
        plan = replace(QUICK, axes=Axes((1,), (1,), (8, 99)), graphs=("fake-fp32",))
        good, long = run(fake_graphs(TWO), plan, measure=pretend).rows
        assert (good.status, long.status) == ("ok", "skipped")
        assert "99 tokens are more than the 32" in long.note

    def test_a_cell_that_is_killed(self, fake_graphs: Graphs) -> None:
        psutil = pytest.importorskip("psutil")
        cell = cell_of(fake_graphs(TWO), sustain_ns=60 * 10**9)
        me, over = psutil.Process(), threading.Event()

        def kill() -> None:
            while not over.is_set():
                for child in me.children():
                    if "edge_tx.bench.cell" in child.cmdline():
                        child.kill()
                        return

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            answer = in_fresh_process(cell, count_kills=lambda: 0)
        finally:
            over.set()
            killer.join()
        assert answer == Failed("the process was killed by SIGKILL (signal 9)", "killed")

    def test_a_cell_that_the_kernel_kills_for_memory(
        self, fake_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import subprocess

        done = subprocess.CompletedProcess([], -9, "", "")
        monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: done)
        kills = iter((3, 4))
        answer = in_fresh_process(cell_of(fake_graphs(TWO)), count_kills=lambda: next(kills))
        assert isinstance(answer, Failed)
        assert answer.kind == "out-of-memory"

    def test_a_cell_over_its_limit_of_memory(self, fake_graphs: Graphs) -> None:
        path = fake_graphs(TWO)
        entry = path / "graphs/fake-fp32/model.fake.json"
        graph = json.loads(entry.read_text())
        graph["outputs"][0]["shape"] = ["batch", 400_000_000]
        cell = replace(cell_of(path), max_memory_bytes=500_000_000)
        answer = in_fresh_process(cell_with(path, cell, json.dumps(graph)))
        assert isinstance(answer, Failed)
        assert answer.kind == "out-of-memory"
        assert answer.note.startswith("needs more than 500 MB of private memory: ")

    @pytest.mark.parametrize(
        ("message", "kind"),
        [
            ("terminate called: std::bad_alloc", "out-of-memory"),
            ("onnxruntime: Failed to allocate memory for 5 bytes", "out-of-memory"),
            ("MemoryError", "out-of-memory"),
            ("OpenBLAS error: Memory allocation still failed", "out-of-memory"),
            ("no such file", "error"),
        ],
    )
    def test_what_libraries_say_when_memory_runs_out(self, message: str, kind: str) -> None:
        assert failed(message, 0).kind == kind

    def test_what_they_do_not_say_is_told_beside_the_limit(self) -> None:
        said = failed("Resource temporarily unavailable", 90_000_000)
        assert said.kind == "error"
        assert said.note.endswith("(limited to 90 MB of private memory)")
        try:
            raise InvalidConfig("cannot be read") from MemoryError()
        except InvalidConfig as exc:
            assert ran_out_of_memory(exc)


def cell_of(path: Path, **more: Any) -> Cell:
    return Cell(str(path), "fake-fp32", "auto", 1, ("the cat",), min_calls=5, min_ns=1000, **more)


def cell_with(path: Path, cell: Cell, graph: str) -> Cell:
    """The cell of a bundle whose graph has other contents, with the hash that goes with them."""
    import hashlib

    (path / "graphs/fake-fp32/model.fake.json").write_text(graph)
    manifest = json.loads((path / "manifest.json").read_text())
    (record,) = manifest["graphs"][0]["files"]
    record |= {"size": len(graph), "sha256": hashlib.sha256(graph.encode()).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return cell


class TestCell:
    """Real processes."""

    def test_all_is_measured_apart(self, fake_graphs: Graphs, tmp_path: Path) -> None:
        data = tmp_path / "pairs.jsonl"
        lines = [
            {"text_a": "the cat", "text_b": f"a mat {'sat ' * n}", "score": n} for n in (1, 2, 3)
        ]
        data.write_text("\n".join(map(json.dumps, lines)))
        plan = replace(
            QUICK,
            graphs=("fake-fp32",),
            data=str(data),
            scenarios=("SingleStream", "Server"),
            rate=5000.0,
            sustain_ns=20_000_000,
        )
        report = run(fake_graphs(TWO), plan)
        (row,) = report.rows
        assert row.status == "ok", row.note
        assert report.context.data["metrics"] == ["spearman"]
        assert "usual" in report.context.data["chosen"]
        assert min(row.load_ns or 0, row.first_answer_ns or 0, row.cpu_ns_per_answer or 0) > 0
        assert row.latency is not None
        assert row.latency.count == len(row.samples_ns) >= 5
        assert len(row.samples_ns) % 6 == 0, "whole passes over the six texts"
        assert row.phases is not None
        assert row.phases.tokenization.p50_ns > 0
        assert row.phases.inference.p50_ns > 0
        assert set(row.accuracy) == {"spearman"}
        assert row.budget is not None
        assert row.budget.vendor == 1
        assert [one.name for one in row.scenarios] == ["SingleStream", "Server"]
        assert row.sustained
        assert (row.list_throughput or 0) > 0
        assert row.memory is not None
        assert (row.memory.peak_bytes or 0) >= (row.memory.loaded_bytes or 0) > 0

    def test_labels_that_no_metric_takes_are_not_scored(
        self, fake_graphs: Graphs, tmp_path: Path
    ) -> None:
        data = tmp_path / "texts.jsonl"
        data.write_text('{"text": "the cat", "label": "animal"}\n')
        report = run(
            fake_graphs(TWO), replace(QUICK, graphs=("fake-fp32",), data=str(data)), measure=pretend
        )
        assert report.context.data["metrics"] == []

    def test_it_is_bound_to_its_budget(self, fake_graphs: Graphs) -> None:
        import os

        if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
            pytest.skip("needs two hardware threads to be bound to one")
        answer = in_fresh_process(
            replace(cell_of(fake_graphs(TWO)), cpus=hardware_threads(1), batch=2)
        )
        assert isinstance(answer, Measured)
        assert answer.budget.cpus == 1


def test_what_the_harness_adds_is_measured_on_real_calls(
    fake_graphs: Graphs, capsys: pytest.CaptureFixture[str]
) -> None:
    overhead.main([str(fake_graphs(TWO)), "the cat"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "in a sample", "around a sample", "a bare call", "in the harness", "added",
    ]  # fmt: skip
    assert all(line.endswith(" us") for line in lines)


class TestPhases:
    def test_a_timed_model_answers_the_same_and_tells_where_the_time_goes(
        self, fake_graphs: Graphs
    ) -> None:
        import numpy as np

        clock = PhaseClock()
        with edge_tx.load(fake_graphs(TWO), graph="fake-fp32", threads=1) as model:
            timed = model.timed(clock)
            texts = ["the cat", "a mat sat"]
            np.testing.assert_array_equal(timed.embed(texts), model.embed(texts))
            assert min(clock.take()) > 0
            assert clock.take() == (0, 0, 0)
            start = time.perf_counter_ns()
            timed("the cat")
            assert sum(clock.take()) <= time.perf_counter_ns() - start


class TestInputs:
    @pytest.mark.parametrize("seq", [3, 5, 8, 31, 32])
    def test_inputs_have_just_as_many_tokens(self, fake_graphs: Graphs, seq: int) -> None:
        bundle = Bundle.open(fake_graphs(TWO))
        tokenizer = bundle.tokenizer()
        inputs = Material(bundle, *texts_of(bundle, (), {})).of(seq)
        assert inputs
        assert {len(tokenizer.encode([text], max_length=32)[0]) for text in inputs} == {seq}

    @pytest.mark.parametrize("seq", [1, 33])
    def test_what_cannot_be_is_said(self, fake_graphs: Graphs, seq: int) -> None:
        bundle = Bundle.open(fake_graphs(TWO))
        with pytest.raises(InvalidConfig, match=str(seq)):
            Material(bundle, ("the cat",), {}).of(seq)

    def test_many_inputs_are_thinned_out_evenly(self) -> None:
        assert spread(range(10), 5) == (0, 2, 4, 6, 8)
        assert spread((1, 2)) == (1, 2)


class TestPlan:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"seconds": 0}, "seconds"),
            ({"min_calls": 0}, "min_calls"),
            ({"repeats": -1}, "repeats"),
            ({"inputs": ("x",), "data": "y"}, "one of them"),
            ({"scenarios": ("Server",)}, "rate"),
            ({"loadgen": True}, "scenarios"),
            ({"vendor": (("A", "1"),)}, "name the backend too"),
        ],
    )
    def test_what_makes_no_sense_is_refused_at_once(
        self, wrong: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidConfig, match=message):
            Plan(**wrong)

    def test_unknown_names_are_told(self) -> None:
        wrongs: tuple[dict[str, Any], ...] = ({"reference": "jax"}, {"scenarios": ("Sever",)})
        for wrong in wrongs:
            with pytest.raises(UnknownName):
                Plan(**wrong)

    def test_a_metric_that_needs_fp32_is_refused(self, fake_graphs: Graphs, tmp_path: Path) -> None:
        data = tmp_path / "texts.txt"
        data.write_text("the cat\n")
        plan = replace(QUICK, data=str(data), metrics=("cosine",))
        with pytest.raises(InvalidConfig, match="edge-tx eval"):
            run(fake_graphs(TWO), plan, measure=pretend)

    def test_loadgen_that_is_missing_is_told_before_measuring(
        self, fake_graphs: Graphs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
        plan = replace(QUICK, scenarios=("Offline",), loadgen=True)
        with pytest.raises(MissingDependency, match="edge-tx\\[loadgen\\]"):
            run(fake_graphs(TWO), plan, measure=pretend)

    def test_a_reference_of_a_bundle_alone_is_skipped(self, fake_graphs: Graphs) -> None:
        if importlib.util.find_spec("optimum") is None:
            pytest.skip("pip install 'edge-tx[export]'")
        report = run(Subject(str(fake_graphs(TWO))), replace(QUICK, reference="torch"),
                     measure=pretend)  # fmt: skip
        row = report.rows[-1]
        assert (row.graph, row.status, row.reference) == ("torch-fp32", "skipped", True)
        assert "give the checkpoint" in row.note
