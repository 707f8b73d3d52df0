"""String-in graphs: tokenizer and model in one file, for apps without a tokenizer of their own.

A bundle's graph is joined with a tokenizer that a vendor ships, and is written only if it then
gives the bundle's golden answers. Those tokenizers are rewrites of the real one and differ from it
on some strings: :data:`~edge_tx.exporters.text_in_texts.HARD` finds such strings before an app's
users do. See ``docs/embedding.md``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge_tx import conformance, swap
from edge_tx.backends import resolve
from edge_tx.bundle_folder import hash_file
from edge_tx.errors import (
    EdgeTxError,
    ExportFailed,
    InvalidConfig,
    ParityFailed,
    UnknownName,
    UnsupportedModel,
)
from edge_tx.exporters.causes import root_cause
from edge_tx.exporters.text_in_texts import HARD, hard_pairs
from edge_tx.manifest_json import GOLDEN
from edge_tx.strict_json import dumps, encode
from edge_tx.text_in import CARD, SCHEMA

if TYPE_CHECKING:
    from edge_tx.bundle import Bundle
    from edge_tx.golden_json import Golden
    from edge_tx.manifest import Graph

__all__ = ["KINDS", "Kind", "Made", "Packed", "Part", "Text", "find", "pack"]

Text = str | tuple[str, str]
"""What a string-in graph is asked: a text, or a pair where its task takes two."""

_ONE_TEXT = (
    "sentence-embedding",
    "feature-extraction",
    "text-classification",
    "token-classification",
    "fill-mask",
)
_PAIR = ("text-ranking",)  # an answer to a question is a place in the text, which no graph tells
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Part:
    """What a string-in graph is made of.

    Attributes:
        bundle: The bundle.
        graph: Its graph that is joined with a tokenizer.
        length: Tokens that MediaPipe's fixed shape has; 0 for the longest there is.
    """

    bundle: Bundle
    graph: Graph
    length: int = 0

    @property
    def pair(self) -> bool:
        """Whether the graph takes two texts."""
        return self.bundle.manifest.task in _PAIR

    @property
    def hard(self) -> tuple[Text, ...]:
        """What its tokenizer is held against the bundle's on."""
        return hard_pairs(self.bundle.manifest.tokenizer.max_length) if self.pair else HARD


class Made(Protocol):
    """A string-in graph that was written, and that can be asked."""

    @property
    def tools(self) -> Mapping[str, str]:
        """Versions of the packages that made it."""

    @property
    def prepare(self) -> str:
        """What an app does to a text first: empty for nothing."""

    @property
    def length(self) -> int:
        """Most tokens of a text that it reads."""

    def answers(self, texts: Sequence[Text]) -> Sequence[Mapping[str, Any]]:
        """Answers of the written graph, as of the conformance protocol."""

    def different(self, texts: Sequence[Text]) -> Sequence[Text]:
        """The texts that its tokenizer reads otherwise than the bundle's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of string-in graphs.

    Attributes:
        name: What users write: ``--text-in openvino``.
        backend: Whose graph of the bundle it is made of.
        entry: Name of the file to open.
        write: ``"module:function"`` called as ``(part, entry) -> Made``.
        exact: Whether every hard string must be equal too; else those that are not are told.
        takes: What it takes beside a graph, by name of the option.
        pairs: Whether its tokenizer takes pairs.
    """

    name: str
    backend: str
    entry: str
    write: str
    exact: bool = False
    takes: tuple[str, ...] = ()
    pairs: bool = False


_ROWS = (
    Kind(
        "openvino",
        "openvino",
        "model.xml",
        "edge_tx.exporters.text_in_openvino:write",
        pairs=True,
    ),
    Kind("onnx", "onnx", "model.onnx", "edge_tx.exporters.text_in_onnx:write", exact=True),
    Kind(
        "mediapipe",
        "tflite",
        "model.tflite",
        "edge_tx.exporters.text_in_mediapipe:write",
        takes=("length",),
    ),
)

KINDS: Mapping[str, Kind] = {row.name: row for row in _ROWS}

_OWN = {CARD, GOLDEN, "model.bin", *(row.entry for row in _ROWS)}


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written.

    Attributes:
        folder: The folder.
        entry: The file to open.
        size: Bytes of all its files.
        asked: Golden texts, or pairs, that were answered right.
        skipped: Golden cases that are of another form, or are too long for the fixed shape.
        different: Hard strings, or pairs of them, that its tokenizer reads otherwise than the
            bundle's.
        prepare: What an app does to a text first: empty for nothing.
    """

    folder: Path
    entry: Path
    size: int
    asked: int
    skipped: int
    different: tuple[Text, ...]
    prepare: str


def find(name: str) -> Kind:
    """Looks a kind up.

    Raises:
        UnknownName: There is none of that name.
    """
    if name not in KINDS:
        raise UnknownName("string-in graph", name, KINDS)
    return KINDS[name]


def pack(
    bundle: Bundle,
    dest: str | os.PathLike[str],
    kind: str,
    *,
    graph: str | None = None,
    length: int = 0,
) -> Packed:
    """Writes a folder with a string-in graph, its card and the golden answers.

    Args:
        bundle: An open bundle.
        dest: A folder that does not exist, is empty, or was written by this function.
        kind: A name of :data:`KINDS`.
        graph: Name of the graph to join; the first of the kind's backend if None.
        length: For MediaPipe, tokens of the fixed shape: one of the graph's; its longest if 0.

    Raises:
        UnknownName: No such kind, or the bundle has no graph for it.
        InvalidConfig: Something else is at ``dest``, or an option that the kind does not take.
        UnsupportedModel: The task takes more than a text, or the vendor has no such tokenizer.
        MissingDependency: A package is not installed.
        ParityFailed: The joined graph gives other answers: nothing is written.
        ExportFailed: The vendor's converter failed.
        BundleError: The place cannot be written, or the bundle is damaged.
    """
    row = find(kind)
    part = Part(bundle, _graph(bundle, row, graph), _length(row, length))
    target = _destination(dest)
    with swap.io_errors(f"write {dest}"), swap.work_folder(target) as work:
        new = work / "new"
        new.mkdir()
        with _vendor_errors(row, part):
            write: Callable[[Part, Path], Made] = resolve(row.write)
            made = write(part, new / row.entry)
            golden, skipped = _askable(part, made.length)
            _prove(row, part, golden, made)
            different = tuple(made.different(part.hard))
        if different and row.exact:
            raise ParityFailed(
                f"the {row.name} tokenizer reads {len(different)} of {len(part.hard)} strings "
                f"otherwise than this model's: {_listed(different)}; nothing is written: tokenize "
                "in the app, or take another kind"
            )
        packed = Packed(
            target, target / row.entry, 0, len(golden.cases), skipped, different, made.prepare
        )
        (new / GOLDEN).write_bytes(dumps(encode(golden)))
        (new / CARD).write_bytes(dumps(_card(row, part, made, packed, new), indent=2))
        size = sum(path.stat().st_size for path in new.iterdir())
        swap.sync_tree(new)
        swap.publish(new, target, work)
    return replace(packed, size=size)


def _graph(bundle: Bundle, row: Kind, name: str | None) -> Graph:
    task = bundle.manifest.task
    able = _ONE_TEXT + (_PAIR if row.pairs else ())
    if task not in able:
        raise UnsupportedModel(
            f"{task} needs more than a string-in graph for {row.name} gives: "
            f"it is made for {', '.join(able)}"
        )
    graph = bundle.graphs_of(row.backend)[0] if name is None else bundle.graph(name)
    if graph.backend != row.backend:
        raise InvalidConfig(
            f"{row.name} takes a graph of {row.backend}, and {graph.name} is of {graph.backend}"
        )
    return graph


def _length(row: Kind, length: int) -> int:
    if length and "length" not in row.takes:
        raise InvalidConfig(f"{row.name} reads texts of any length: leave the length out")
    return length


def _destination(dest: str | os.PathLike[str]) -> Path:
    path = Path(os.path.realpath(dest))
    swap.recover(path)
    if not os.path.lexists(path):
        return path
    if not path.is_dir():
        raise InvalidConfig(f"{dest} is a file: a string-in graph is written as a folder")
    names = {entry.name for entry in path.iterdir()}
    if names and (CARD not in names or names - _OWN):
        raise InvalidConfig(
            f"{dest} is a folder that holds no string-in graph, or more than one: it is not "
            "replaced; choose another name"
        )
    return path


@contextlib.contextmanager
def _vendor_errors(row: Kind, part: Part) -> Iterator[None]:
    try:
        yield
    except (EdgeTxError, OSError):
        raise
    except Exception as exc:  # vendors raise of every kind here
        raise ExportFailed(
            f"cannot join {part.graph.name} with a tokenizer for {row.name}: {root_cause(exc)}"
        ) from exc


def _askable(part: Part, length: int) -> tuple[Golden, int]:
    """The golden cases that are of the graph's form and fit, and how many are not."""
    golden = part.bundle.golden()
    cases = tuple(
        question.case
        for question in conformance.questions(golden)
        if isinstance(question.case.input, str) != part.pair and len(question.row.ids) <= length
    )
    if not cases:
        form = "a pair" if part.pair else "one text"
        raise UnsupportedModel(
            f"none of the bundle's golden cases is {form} of at most {length} tokens, so the "
            "graph cannot be proven"
        )
    return replace(golden, cases=cases), len(golden.cases) - len(cases)


def _prove(row: Kind, part: Part, golden: Golden, made: Made) -> None:
    texts = [
        case.input if isinstance(case.input, str) else tuple(case.input) for case in golden.cases
    ]
    answers = b"".join(dumps(answer) for answer in made.answers(prompted(part.bundle, texts)))
    score = conformance.score(golden, part.graph.parity, answers)
    if score.ok:
        return
    wrong = [golden.cases[case.case].input for case in score.cases if case.failures]
    raise ParityFailed(
        f"the {row.name} graph answers {len(wrong)} of {len(texts)} golden texts wrongly, "
        f"{_listed(wrong)} ({score.failures[0]}): nothing is written"
    )


def prompted(bundle: Bundle, texts: Sequence[Text]) -> list[Text]:
    """Texts after the model's default prompt, which an app puts before them too.

    Of a pair the first text, the query, gets it.
    """
    settings = bundle.manifest.settings
    prompt = settings.prompts.get(settings.default_prompt, "")
    return [
        prompt + text if isinstance(text, str) else (prompt + text[0], text[1]) for text in texts
    ]


def _listed(texts: Sequence[Text]) -> str:
    cut = ([text[:40]] if isinstance(text, str) else [one[:40] for one in text] for text in texts)
    words = (" and ".join(json.dumps(one, ensure_ascii=False) for one in text) for text in cut)
    shown = ", ".join(itertools.islice(words, _SHOWN))
    return shown + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def _card(row: Kind, part: Part, made: Made, packed: Packed, folder: Path) -> dict[str, Any]:
    manifest = part.bundle.manifest
    files = []
    for path in sorted(folder.iterdir()):
        size, sha256 = hash_file(path)
        files.append({"path": path.name, "size": size, "sha256": sha256})
    return {
        "schema": SCHEMA,
        "kind": row.name,
        "entry": row.entry,
        "task": manifest.task,
        "labels": list(manifest.settings.labels),
        "prompt": manifest.settings.prompts.get(manifest.settings.default_prompt, ""),
        "prepare": made.prepare,
        "max_length": made.length,
        "pair": part.pair,
        "outputs": encode(part.graph.outputs),
        "graph": part.graph.name,
        "parity": encode(part.graph.parity),
        "source": manifest.source.name,
        "stamp": manifest.stamp,
        "golden": {"asked": packed.asked, "skipped": packed.skipped},
        "hard": {"asked": len(part.hard), "different": list(packed.different)},
        "tools": dict(made.tools),
        "files": files,
    }
