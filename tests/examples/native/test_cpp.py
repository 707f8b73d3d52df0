"""The C++ programs, compiled here, against golden answers and against bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.examples

NAMES = ["embedding", "classifier"]


@pytest.fixture(scope="module")
def programs(built: Callable[[str], Path], text_in: dict[str, Path]) -> Path:
    return built("cpp")


@pytest.fixture(scope="module")
def onnx_program(programs: Path) -> Path:
    program = programs / "answer_onnx"
    if not program.exists():
        pytest.skip("no headers of ONNX Runtime: name their folder by EDGE_TX_ONNXRUNTIME_INCLUDE")
    return program


def edited(folder: Path, **changes: Any) -> Path:
    card = folder / "text_in.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | changes), encoding="utf-8")
    return folder


class TestAnswers:
    @pytest.mark.parametrize("name", NAMES)
    def test_openvino(
        self,
        name: str,
        programs: Path,
        text_in: dict[str, Path],
        passes_exam: Callable[..., int],
    ) -> None:
        assert passes_exam(text_in[name], programs / "answer_openvino", text_in[name]) > 5

    def test_pairs(
        self,
        programs: Path,
        pairs: Path,
        passes_exam: Callable[..., int],
        asked: Callable[..., Any],
    ) -> None:
        assert passes_exam(pairs, programs / "answer_openvino", pairs) > 5
        done = asked([programs / "answer_openvino", pairs], b'{"text": "alone"}')
        assert "takes a text and its pair" in json.loads(done.stdout)["error"]

    @pytest.mark.parametrize("name", NAMES)
    def test_onnx_runtime(
        self,
        name: str,
        onnx_program: Path,
        openvino_bundles: dict[str, Path],
        text_in: dict[str, Path],
        passes_exam: Callable[..., int],
    ) -> None:
        command = (onnx_program, openvino_bundles[name], text_in[name])
        assert passes_exam(text_in[name], *command) > 5

    def test_token_ids_of_the_app_itself(
        self, onnx_program: Path, openvino_bundles: dict[str, Path], asked: Callable[..., Any]
    ) -> None:
        bundle = openvino_bundles["embedding"]
        golden = json.loads((bundle / "golden.json").read_bytes())["cases"][0]["rows"][0]
        question = {"ids": golden["ids"], "type_ids": golden["type_ids"]}
        done = asked([onnx_program, bundle], json.dumps(question).encode())
        answer = json.loads(done.stdout)["outputs"]["sentence_embedding"]
        wanted = golden["outputs"]["sentence_embedding"]["values"]
        assert answer == pytest.approx(wanted, abs=1e-4)


class TestBadQuestions:
    @pytest.mark.parametrize(
        "line",
        [
            b"nonsense",
            b"[1]",
            b"{}",
            b'{"text": 5}',
            b'{"text": "a", "pair": "b"}',
            b'{"text": "\xff"}',
            b'{"text": "' + b"a" * 1_000_001 + b'"}',
        ],
        ids=["no-json", "list", "no-text", "number", "pair", "no-utf8", "huge"],
    )
    def test_each_is_told_and_the_next_is_answered(
        self, line: bytes, programs: Path, text_in: dict[str, Path], asked: Callable[..., Any]
    ) -> None:
        data = line + b'\n{"text": "fine"}\n'
        done = asked([programs / "answer_openvino", text_in["embedding"]], data)
        first, second = map(json.loads, done.stdout.splitlines())
        assert done.returncode == 0
        assert first["error"]
        assert "error" not in second

    def test_a_long_text_is_cut_and_told(
        self, programs: Path, text_in: dict[str, Path], asked: Callable[..., Any]
    ) -> None:
        data = json.dumps({"text": "word " * 5000}).encode()
        done = asked([programs / "answer_openvino", text_in["embedding"]], data)
        assert len(json.loads(done.stdout)["ids"]) == 256
        assert b"256 tokens" in done.stderr


class TestBadFolders:
    def told(self, done: Any, code: int, words: str) -> None:
        assert done.returncode == code, done.stderr
        assert done.stdout == b""
        assert len(done.stderr.splitlines()) == 1
        assert words in done.stderr.decode()

    def test_a_damaged_graph(
        self,
        programs: Path,
        text_in: dict[str, Path],
        copied: Callable[..., Path],
        asked: Callable[..., Any],
    ) -> None:
        folder = copied(text_in["embedding"])
        with (folder / "model.bin").open("r+b") as file:
            file.seek(1000)
            file.write(b"damage")
        self.told(asked([programs / "answer_openvino", folder]), 8, "sha256")

    @pytest.mark.parametrize(
        ("change", "code", "words"),
        [
            ({"schema": 99}, 9, "update the program"),
            ({"schema": "1"}, 8, "not a manifest"),
            ({"files": [{"path": "../x", "size": 1, "sha256": ""}]}, 10, "outside"),
            ({"files": [{"path": "gone", "size": 1, "sha256": ""}]}, 8, "missing"),
            ({"entry": 5}, 8, "type must be string"),
            ({"prepare": "fold"}, 2, "prepared"),
        ],
        ids=["too-new", "no-schema", "unsafe", "gone", "mistyped", "prepared"],
    )
    def test_a_wrong_card(
        self,
        change: dict[str, Any],
        code: int,
        words: str,
        programs: Path,
        text_in: dict[str, Path],
        copied: Callable[..., Path],
        asked: Callable[..., Any],
    ) -> None:
        folder = edited(copied(text_in["embedding"]), **change)
        self.told(asked([programs / "answer_openvino", folder]), code, words)

    def test_no_folder(self, programs: Path, tmp_path: Path, asked: Callable[..., Any]) -> None:
        self.told(asked([programs / "answer_openvino", tmp_path / "none"]), 8, "cannot be read")
        self.told(asked([programs / "answer_openvino"]), 2, "usage")
