"""The desktop app: its core without a window, and its window on a virtual screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tx.errors import EdgeTxError
from examples.desktop_python.semantic_search import index as store
from examples.desktop_python.semantic_search.engine import Engine
from examples.desktop_python.semantic_search.indexer import Outcome, Progress, refresh
from examples.desktop_python.semantic_search.opening import open_file
from examples.desktop_python.semantic_search.passages import MOST, passages_of, text_files

WORDS = ("cat", "dog", "film", "paris")
PATIENCE_S = 60

Searching = tuple[Any, Callable[[Callable[[], object]], None]]


class WordCounts:
    """An embedder whose vectors can be told by reading: how often each word occurs."""

    def __init__(self, stamp: str = "a") -> None:
        self.stamp = stamp
        self.seen: list[str] = []

    def embed(self, texts: list[str], /) -> npt.NDArray[np.float32]:
        self.seen += texts
        return np.array([[t.count(w) for w in WORDS] for t in texts], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = tmp_path / "texts"
    (texts / "deep").mkdir(parents=True)
    (texts / "a.txt").write_text("the cat sat", encoding="utf-8")
    (texts / "deep" / "b.md").write_text("the dog ran", encoding="utf-8")
    (texts / ".hidden.txt").write_text("paris", encoding="utf-8")
    (texts / "picture.png").write_bytes(b"\x89PNG")
    return texts


def run(folder: Path, model: WordCounts, previous: store.Index | None = None) -> Outcome:
    return refresh(folder, model, previous, lambda _: None, lambda: False)


def found(index: store.Index, word: str) -> str:
    return index.search(np.array([w == word for w in WORDS], np.float32), 1)[0].passage.file


class TestPassages:
    def test_lines_are_counted(self) -> None:
        long = " ".join(["word"] * 60)
        lines = [p.line for p in passages_of("f", f"\n\n{long}\n{long}\n\n\n{long}\n")]
        assert lines == [3, 3, 7]

    def test_short_paragraphs_are_joined(self) -> None:
        assert [p.text for p in passages_of("f", "# Cats\n\nThey sleep.\n")] == [
            "# Cats\nThey sleep."
        ]

    @given(st.lists(st.text("ab \n", max_size=900), max_size=5).map("\n\n".join))
    def test_no_word_is_lost_and_none_is_too_long(self, text: str) -> None:
        passages = passages_of("f", text)
        assert "".join("".join(p.text for p in passages).split()) == "".join(text.split())
        assert all(len(p.text) <= MOST for p in passages)

    def test_only_visible_texts(self, folder: Path) -> None:
        assert [p.name for p in text_files(folder)] == ["a.txt", "b.md"]


class TestRefresh:
    def test_finds(self, folder: Path) -> None:
        index = run(folder, WordCounts()).index
        assert (found(index, "cat"), found(index, "dog")) == ("a.txt", "deep/b.md")

    def test_reads_again_only_what_changed(self, folder: Path) -> None:
        first = run(folder, WordCounts()).index
        (folder / "a.txt").write_text("a film of paris", encoding="utf-8")
        model = WordCounts()
        second = run(folder, model, first).index
        assert model.seen == ["a film of paris"]
        assert (found(second, "film"), found(second, "dog")) == ("a.txt", "deep/b.md")

    def test_forgets_deleted_files(self, folder: Path) -> None:
        first = run(folder, WordCounts()).index
        (folder / "a.txt").unlink()
        assert {p.file for p in run(folder, WordCounts(), first).index.passages} == {"deep/b.md"}

    def test_never_mixes_models(self, folder: Path) -> None:
        first = run(folder, WordCounts("a")).index
        model = WordCounts("b")
        assert run(folder, model, first).index.stamp == "b"
        assert len(model.seen) == 2

    def test_cancelled_work_is_kept_and_taken_up(self, folder: Path) -> None:
        many = "\n\n".join(f"cat {i} " * 40 for i in range(40))
        (folder / "a.txt").write_text(many, encoding="utf-8")
        asked = iter([False, False, True])
        outcome = refresh(folder, WordCounts(), None, lambda _: None, lambda: next(asked, True))
        assert outcome.cancelled
        assert set(outcome.index.files) == {"a.txt"}
        model = WordCounts()
        again = run(folder, model, outcome.index)
        assert model.seen == ["the dog ran"]
        assert not again.cancelled

    def test_empty_folder(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, WordCounts())
        assert outcome.index.search(np.ones(4, np.float32)) == []

    def test_tells_how_far_it_is(self, folder: Path) -> None:
        told: list[Progress] = []
        refresh(folder, WordCounts(), None, told.append, lambda: False)
        assert [(p.done, p.total) for p in told] == [(0, 2)]


class TestStore:
    def test_round_trip(self, folder: Path, tmp_path: Path) -> None:
        index = run(folder, WordCounts()).index
        store.write(index, tmp_path / "i.npz")
        again = store.read(tmp_path / "i.npz")
        assert (again.stamp, again.files, again.passages) == (
            index.stamp,
            index.files,
            index.passages,
        )
        assert np.array_equal(again.vectors, index.vectors)
        assert [p.name for p in tmp_path.glob("i.*")] == ["i.npz"]

    @given(cut=st.integers(0, 100_000))
    def test_a_torn_index_is_damaged(
        self, tmp_path_factory: pytest.TempPathFactory, cut: int
    ) -> None:
        path = tmp_path_factory.mktemp("store") / "i.npz"
        store.write(store.Index.of("a", {}, []), path)
        whole = path.read_bytes()
        path.write_bytes(whole[: cut % len(whole)])
        with pytest.raises(store.IndexDamaged):
            store.read(path)


class TestEngine:
    def test_a_damaged_index_is_built_anew(
        self, fake_bundle: Callable[..., Path], folder: Path, tmp_path: Path
    ) -> None:
        engine = Engine(fake_bundle("sentence-embedding"), tmp_path / "store")
        assert engine.refresh(folder, lambda _: None, lambda: False).note == ""
        assert engine.refresh(folder, lambda _: None, lambda: False).outcome.embedded == 0
        next((tmp_path / "store").iterdir()).write_bytes(b"not an index")
        assert "damaged" in engine.refresh(folder, lambda _: None, lambda: False).note
        assert len(engine.search("a cat").hits) == 2
        engine.close()

    def test_a_classifier_is_refused(
        self, fake_bundle: Callable[..., Path], tmp_path: Path
    ) -> None:
        with pytest.raises(EdgeTxError, match="needs 'sentence-embedding'"):
            Engine(fake_bundle("text-classification"), tmp_path)

    def test_a_file_that_is_gone_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="choose the folder again"):
            open_file(tmp_path / "gone.txt")


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """A virtual screen of its own."""
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed: the window is not driven")
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", "900x700x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        display = f":{told.readline().strip()}"
    yield display
    server.terminate()
    server.wait()


@pytest.fixture
def driven(screen: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens a window; gives it and a function that lets it work until something holds."""
    import tkinter as tk

    from examples.desktop_python.semantic_search.window import Window

    monkeypatch.setenv("DISPLAY", screen)

    def open_window(*args: Any) -> tuple[Window, Callable[[Callable[[], object]], None]]:
        root = tk.Tk()
        window = Window(root, *args)

        def until(holds: Callable[[], object]) -> None:
            end = time.monotonic() + PATIENCE_S
            while not holds():
                assert time.monotonic() < end, "the window never came to it"
                root.update()

        return window, until

    return open_window


@pytest.fixture
def searching(
    driven: Callable[..., Any],
    fake_bundle: Callable[..., Path],
    folder: Path,
    tmp_path: Path,
) -> Searching:
    """A window that is opened on the folder with a model of word counts, and its ``until``."""
    opened: Searching = driven(fake_bundle("sentence-embedding"), tmp_path / "store", folder)
    return opened


class TestWindow:
    def test_indexes_and_finds(self, searching: Searching) -> None:
        window, until = searching
        until(lambda: "2 passages of 2 files" in window.status["text"])
        window.query.set("the cat sat")
        until(lambda: window.results.hits)
        assert window.results.hits[0].passage.file == "a.txt"
        assert "the cat sat" in window.results.shown()
        window.results.choose(5)
        assert window.results.chosen == 1
        window.query.set("")
        until(lambda: not window.results.hits)
        window.close()

    def test_a_query_that_is_too_long_is_told(self, searching: Searching) -> None:
        window, until = searching
        until(lambda: "2 passages of 2 files" in window.status["text"])
        window.query.set("cat " * 3000)  # of 16 tokens, two are special ones
        until(lambda: window.results.hits)
        assert "too long: 2,986 of its tokens were not read" in window.timing["text"]
        window.query.set("cat")
        until(lambda: window.query.get() and "too long" not in window.timing["text"])
        window.close()

    def test_another_folder_may_be_chosen_at_any_time(
        self, searching: Searching, folder: Path
    ) -> None:
        window, until = searching
        until(lambda: window.engine)
        window.open_folder(folder / "deep")
        until(lambda: "1 passages of 1 files" in window.status["text"])
        window.query.set("dog")
        until(lambda: window.results.hits)
        assert [hit.passage.file for hit in window.results.hits] == ["b.md"]
        assert not window.progress_row.winfo_ismapped()
        window.close()

    def test_an_error_is_told_in_the_window(
        self, driven: Callable[..., Any], tmp_path: Path
    ) -> None:
        window, until = driven(tmp_path / "none.bundle", tmp_path / "store")
        until(lambda: window.error_row.winfo_ismapped())
        assert "none.bundle" in window.error_label["text"]
        window.close()

    @pytest.mark.parametrize(
        ("file", "old", "new", "said"),
        [
            ("tokenizer.json", b"{", b"[", "tokenizer.json"),
            ("manifest.json", b'"schema": ', b'"schema": 99', "schema 99"),
            ("manifest.json", b"{", b"", "manifest.json"),
        ],
        ids=["damaged", "newer", "torn"],
    )
    def test_a_bundle_that_cannot_be_used_is_told(
        self,
        driven: Callable[..., Any],
        fake_bundle: Callable[..., Path],
        tmp_path: Path,
        file: str,
        old: bytes,
        new: bytes,
        said: str,
    ) -> None:
        bundle = shutil.copytree(fake_bundle("sentence-embedding"), tmp_path / "bad.bundle")
        whole = (bundle / file).read_bytes()
        assert old in whole
        (bundle / file).write_bytes(whole.replace(old, new, 1))
        window, until = driven(bundle, tmp_path / "store")
        until(lambda: window.error_row.winfo_ismapped())
        assert said in window.error_label["text"]
        window.close()

    def test_a_folder_that_is_gone_is_told(
        self, driven: Callable[..., Any], fake_bundle: Callable[..., Path], tmp_path: Path
    ) -> None:
        bundle = fake_bundle("sentence-embedding")
        window, until = driven(bundle, tmp_path / "store", tmp_path / "gone")
        until(lambda: window.error_row.winfo_ismapped())
        assert "there is no folder" in window.error_label["text"]
        window.close()
