"""The verbs beside ``run``: inspect, verify, pack, doctor and the lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_tx import backends
from edge_tx.bundle_writer import BundleWriter
from edge_tx.cli.app import VERBS
from edge_tx.manifest import TaskSettings
from edge_tx.text import TokenizerPolicy
from tests.data import fakes

Bundle = Callable[..., Path]
Call = Callable[..., Any]


@pytest.fixture
def bundle(fake_bundle: Bundle) -> Path:
    return fake_bundle("text-classification")


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


class TestInspect:
    def test_shows_what_matters(self, bundle: Path, edge_tx: Call) -> None:
        done = edge_tx("inspect", bundle)
        assert done.code == 0
        for said in ("text-classification", "cats", "bad, good", "fake-fp32", "int64[batch, seq]"):
            assert said in done.out

    def test_fits_80_columns_without_trailing_blanks(self, bundle: Path, edge_tx: Call) -> None:
        lines = edge_tx("inspect", bundle).out.splitlines()
        assert max(map(len, lines)) <= 80
        assert [line for line in lines if line != line.rstrip()] == []

    def test_json_is_the_manifest(self, bundle: Path, edge_tx: Call) -> None:
        record = json.loads(edge_tx("inspect", "--json", bundle).out)
        assert record == json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))

    def test_names_are_not_markup(self, fake_bundle: Bundle, edge_tx: Call) -> None:
        done = edge_tx("inspect", fake_bundle("text-classification", "[b]x[/b]"))
        assert "[b]x[/b]" in done.out.replace("\n" + " " * 16, "")


class TestVerify:
    def test_says_ok(self, bundle: Path, edge_tx: Call) -> None:
        done = edge_tx("verify", bundle)
        assert done.code == 0
        assert "3 files are as the manifest says" in done.out
        assert "hashing 3 files" in done.err

    def test_quiet_shows_no_progress(self, bundle: Path, edge_tx: Call) -> None:
        assert edge_tx("verify", "--quiet", bundle).err == ""

    def test_json(self, bundle: Path, edge_tx: Call) -> None:
        record = json.loads(edge_tx("verify", "--json", bundle).out)
        [graph] = record["graphs"]
        assert (record["files"], graph["graph"], graph["verdict"]) == (3, "fake-fp32", "ok")

    @pytest.mark.parametrize("file", ["tokenizer.json", "graphs/fake-fp32/model.fake.json"])
    def test_flipped_byte_is_found(self, bundle: Path, edge_tx: Call, file: str) -> None:
        flip_a_byte(bundle / file)
        done = edge_tx("verify", "--quiet", bundle)
        assert (done.code, done.out, done.err.count("\n")) == (8, "", 1)
        assert file in done.err

    def test_a_graph_that_does_not_open_loses_no_other(
        self, bundle: Path, tmp_path: Path, edge_tx: Call
    ) -> None:
        tokenizer = (bundle / "tokenizer.json").read_text(encoding="utf-8")
        shape = fakes.output("logits", 2)
        settings = TaskSettings(("bad", "good"))
        policy = TokenizerPolicy(max_length=8, inputs=fakes.NAMES, special={"pad": 0})
        with BundleWriter(tmp_path / "two") as writer:
            fakes.add_graph(writer, shape, "fake-new", broken=True)
            fakes.add_graph(writer, shape)
            fakes.commit(writer, "text-classification", settings, policy, tokenizer)
        done = edge_tx("verify", "--quiet", "--json", tmp_path / "two")
        assert (done.code, done.err.count("\n")) == (14, 1)
        assert "fake-new" in done.err
        verdicts = {g["graph"]: g["verdict"] for g in json.loads(done.out)["graphs"]}
        assert verdicts == {"fake-new": "failed", "fake-fp32": "ok"}

    def test_no_backend_here_is_an_error_that_says_what_to_install(
        self, bundle: Path, edge_tx: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backends, "_is_installed", lambda _module: False)
        done = edge_tx("verify", "--quiet", bundle)
        assert done.code == 3
        assert "pip install" in done.err


class TestPack:
    def test_packed_bundle_runs_and_verifies(
        self, bundle: Path, edge_tx: Call, tmp_path: Path
    ) -> None:
        packed = tmp_path / "cats.etx"
        assert edge_tx("pack", bundle, packed).code == 0
        assert edge_tx("verify", packed).code == 0
        folder, file = (edge_tx("run", "--json", b, "good film").out for b in (bundle, packed))
        assert folder == file != ""

    def test_json(self, bundle: Path, edge_tx: Call, tmp_path: Path) -> None:
        record = json.loads(edge_tx("pack", "--json", bundle, tmp_path / "cats.etx").out)
        assert Path(record["path"]).stat().st_size == record["bytes"]

    def test_a_file_that_is_damaged_now_is_found_although_it_is_in_the_cache(
        self, bundle: Path, edge_tx: Call, tmp_path: Path
    ) -> None:
        packed = tmp_path / "cats.etx"
        assert edge_tx("pack", bundle, packed).code == 0
        assert edge_tx("verify", packed).code == 0
        data = bytearray(packed.read_bytes())
        data[data.index(b"[UNK]")] ^= 1
        packed.write_bytes(data)
        done = edge_tx("verify", "--quiet", packed)
        assert (done.code, done.err.count("\n")) == (8, 1)

    def test_other_suffix_is_refused(self, bundle: Path, edge_tx: Call, tmp_path: Path) -> None:
        done = edge_tx("pack", bundle, tmp_path / "cats.zip")
        assert (done.code, done.err.count("\n")) == (2, 1)


class TestTune:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("EDGE_TX_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    @pytest.fixture
    def texts(self, tmp_path: Path) -> Path:
        path = tmp_path / "texts.txt"
        path.write_text("good film\nthe cat sat on the mat\n")
        return path

    def test_shows_numbers_and_the_choice(self, bundle: Path, texts: Path, edge_tx: Call) -> None:
        done = edge_tx("tune", bundle, "--file", texts, "--seconds", "0.001")
        assert done.code == 0
        for said in ("fake-fp32", "short ms", "per second", "chosen", "the only graph"):
            assert said in done.out
        assert "measuring fake-fp32" in done.err
        assert max(map(len, done.out.splitlines())) <= 80

    def test_json(self, bundle: Path, texts: Path, edge_tx: Call) -> None:
        words = ("--goal", "memory", "--file", texts, "--seconds", "0.001")
        record = json.loads(edge_tx("tune", "--json", bundle, *words).out)
        assert record["tuning"]["goal"] == "memory"
        assert record["graph"] == "fake-fp32"
        assert Path(record["path"]).is_file()

    @pytest.mark.parametrize(
        ("rows", "code", "said"),
        [
            (None, 2, "a metric needs labelled data"),
            ('{"text": "a film"}', 11, "has no label"),
            ('{"text": "a film", "label": "dull"}', 11, "'dull' is none of bad, good"),
        ],
    )
    def test_bench_measures_nothing_before_the_labels_are_right(
        self,
        bundle: Path,
        edge_tx: Call,
        tmp_path: Path,
        rows: str | None,
        code: int,
        said: str,
    ) -> None:
        words = []
        if rows is not None:
            (tmp_path / "rows.jsonl").write_text(rows)
            words = ["--data", tmp_path / "rows.jsonl"]
        done = edge_tx("bench", bundle, "--metric", "accuracy", *words)
        assert done.code == code
        assert said in done.err
        assert "measuring" not in done.err

    @pytest.mark.parametrize("verb", ["tune", "bench"])
    def test_an_empty_file_is_not_the_golden_texts(
        self, bundle: Path, edge_tx: Call, tmp_path: Path, verb: str
    ) -> None:
        (tmp_path / "none.txt").touch()
        done = edge_tx(verb, "--quiet", bundle, "--file", tmp_path / "none.txt")
        assert (done.code, done.err.count("\n")) == (11, 1)
        assert "none.txt holds no inputs" in done.err

    def test_no_texts_to_measure_with(self, bundle: Path, edge_tx: Call) -> None:
        done = edge_tx("tune", "--quiet", bundle)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "give inputs" in done.err

    def test_graph_that_fails_is_shown_and_fails(
        self, bundle: Path, texts: Path, edge_tx: Call
    ) -> None:
        flip_a_byte(bundle / "graphs/fake-fp32/model.fake.json")
        done = edge_tx("tune", "--quiet", bundle, "--file", texts)
        assert done.code == 14
        assert "is damaged" in done.out + done.err

    @pytest.mark.parametrize("verb", ["run", "bench", "tune"])
    def test_accuracy_out_of_range_is_refused(self, bundle: Path, edge_tx: Call, verb: str) -> None:
        done = edge_tx(verb, bundle, "--min-accuracy", "1.5")
        assert (done.code, done.err.count("\n")) == (2, 1)

    def test_bench_skips_what_is_too_inaccurate(
        self, bundle: Path, texts: Path, edge_tx: Call
    ) -> None:
        path = bundle / "manifest.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        record["graphs"][0]["parity"]["agreement"] = 0.9
        path.write_text(json.dumps(record), encoding="utf-8")
        done = edge_tx("bench", bundle, "--file", texts, "--min-accuracy", "0.95")
        assert "below 0.95" in done.out.replace("\n", " ")
        assert done.code == 7
        assert edge_tx("run", bundle, "good film", "--min-accuracy", "0.95").code == 7


def test_doctor_holds_a_bundle_against_what_is_installed(bundle: Path, edge_tx: Call) -> None:
    path = bundle / "manifest.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["graphs"][0]["backend"] = "a_plug_in"
    path.write_text(json.dumps(record), encoding="utf-8")
    assert "graph fake-fp32 cannot run here" in edge_tx("doctor", bundle).out


def test_doctor_fits_80_columns(edge_tx: Call) -> None:
    assert max(map(len, edge_tx("doctor").out.splitlines())) <= 80


def test_doctor_shows_device_and_backends(edge_tx: Call) -> None:
    done = edge_tx("doctor")
    assert "threads used" in done.out
    assert "onnx" in done.out
    record = json.loads(edge_tx("doctor", "--json").out)
    assert record["device"]["cpu"]["usable_threads"] >= 1
    assert record["backends"][0]["name"] == "onnx"


@pytest.mark.parametrize("verb", ["tasks", "backends"])
def test_lists(edge_tx: Call, verb: str) -> None:
    names = [row["name"] for row in json.loads(edge_tx(verb, "--json").out)[verb]]
    table = edge_tx(verb).out
    assert names
    assert all(name in table for name in names)
    assert "fake" not in names


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_names_the_command(edge_tx: Call, shell: str) -> None:
    done = edge_tx("completion", shell)
    assert done.code == 0
    assert "_EDGE_TX_COMPLETE" in done.out


def test_completion_completes_verbs_and_tasks(edge_tx_process: Call) -> None:
    import os

    def complete(words: str, index: int) -> str:
        env = os.environ | {
            "_EDGE_TX_COMPLETE": "zsh_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(index),
        }
        return str(edge_tx_process(env=env).stdout)

    assert "verify" in complete("edge-tx ver", 1)
    assert "question-answering" in complete("edge-tx export --task que", 3)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(edge_tx: Call, verb: str) -> None:
    done = edge_tx(verb, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: edge-tx {verb} ")
    assert max(map(len, done.out.splitlines())) <= 80
