"""``manifest.json``: read strictly, written so that equal manifests are equal bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from edge_tx.errors import BundleCorrupt, BundleTooNew, BundleUnsafe
from edge_tx.manifest import SCHEMA, FileRecord, Graph, Manifest, Parity, Source, TaskSettings
from edge_tx.specs import TensorSpec
from edge_tx.strict_json import Fail, Reader, Rule, dumps, encode, loads

__all__ = ["GOLDEN", "LIMITS", "MANIFEST", "TOKENIZER", "path_problem", "read", "write"]

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"


class LIMITS:
    """What a bundle may hold at most; far above real ones, far below what fills a machine."""

    manifest_bytes = 16 << 20
    json_bytes = 512 << 20
    total_bytes = 64 << 30
    files = 10_000


_SHA256 = re.compile(r"[0-9a-f]{64}")
# Names that Windows gives to devices or cannot store; a bundle must open everywhere.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f]')


# Keys that were added since schema 1 was first written: bundles without them open as before.
_ADDED = (("source", "config", ""), ("settings", "include_prompt", True))


def read(data: bytes) -> Manifest:
    """Reads the contents of ``manifest.json``.

    Raises:
        BundleTooNew: A newer edge_tx wrote it.
        BundleUnsafe: A path in it reaches outside the bundle.
        BundleCorrupt: Anything else is wrong; names the place.
    """
    if len(data) > LIMITS.manifest_bytes:
        raise BundleUnsafe(f"{MANIFEST}: larger than {LIMITS.manifest_bytes} bytes")
    value = loads(data, MANIFEST)
    reader = Reader(MANIFEST, BundleCorrupt, _RULES)
    _check_schema(value, reader)
    for record, key, absent in _ADDED:
        if isinstance(value.get(record), dict):
            value[record].setdefault(key, absent)
    return reader.read(Manifest, value)


def write(manifest: Manifest) -> bytes:
    """Writes a manifest, after checking that it can be read back.

    Raises:
        BundleError: As :func:`read` would.
    """
    data = dumps(encode(manifest), indent=1)
    read(data)
    return data


def path_problem(path: str) -> str | None:
    """Says what is unsafe about a path inside a bundle, or None."""
    if _FORBIDDEN.search(path):
        return "has a character that paths of a bundle may not hold"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "is not a plain relative path"
        if _RESERVED.fullmatch(part) or part[-1] in ". " or len(part.encode()) > 255:
            return f"has a part that some systems cannot store: {part[:40]!r}"
    return None


def _check_schema(value: Any, reader: Reader) -> None:
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        reader.fail("schema", "expected a schema version; this is not an edge_tx bundle")
    if schema > SCHEMA:
        version = value.get("edge_tx")
        writer = f" by edge_tx {version[:40]!r}" if isinstance(version, str) else ""
        raise BundleTooNew(
            f"{MANIFEST}: schema {schema} was written{writer}, this version reads up to "
            f"{SCHEMA}: pip install -U edge-tx"
        )


def _file(record: FileRecord, fail: Fail) -> None:
    problem = path_problem(record.path)
    if problem:
        fail("path", f"{record.path[:80]!r} {problem}", BundleUnsafe)
    if record.path == MANIFEST:
        fail("path", f"{MANIFEST} cannot name itself")
    if record.size < 0:
        fail("size", f"expected 0 or more, got {record.size}")
    _check_sha256(record.sha256, fail)


def _source(record: Source, fail: Fail) -> None:
    _check_sha256(record.sha256, fail)
    if record.parameters < 0:
        fail("parameters", f"expected 0 or more, got {record.parameters}")


def _check_sha256(value: str, fail: Fail) -> None:
    if not _SHA256.fullmatch(value):
        fail("sha256", f"expected 64 lower-case hexadecimal digits, got {value[:80]!r}")


def _settings(record: TaskSettings, fail: Fail) -> None:
    twice = _duplicate(record.labels)
    if twice is not None:
        fail("labels", f"label {twice[:80]!r} stands twice")
    if record.default_prompt and record.default_prompt not in record.prompts:
        fail("default_prompt", f"{record.default_prompt[:80]!r} is not among the prompts")


def _spec(record: TensorSpec, fail: Fail) -> None:
    if not record.name:
        fail("name", "is empty")
    for index, size in enumerate(record.shape):
        if size == "" or (isinstance(size, int) and size < 1):
            fail(f"shape[{index}]", f"expected a size or a symbol, got {size!r}")


def _parity(record: Parity, fail: Fail) -> None:
    if record.texts < 0:
        fail("texts", f"expected 0 or more, got {record.texts}")
    if record.max_abs_error < 0:
        fail("max_abs_error", f"expected 0 or more, got {record.max_abs_error}")
    if not 0 <= record.agreement <= 1:
        fail("agreement", f"expected a share from 0 to 1, got {record.agreement}")


def _graph(record: Graph, fail: Fail) -> None:
    problem = "holds a slash" if "/" in record.name else path_problem(record.name)
    if problem:
        fail("name", f"{record.name[:80]!r} {problem}", BundleUnsafe)
    folder = f"graphs/{record.name}/"
    for index, file in enumerate(record.files):
        if not file.path.startswith(folder):
            fail(f"files[{index}].path", f"{file.path[:80]!r} is not in {folder}")
    if record.entry not in (file.path for file in record.files):
        fail("entry", f"{record.entry[:80]!r} is not among the graph's files")
    for side, specs in (("inputs", record.inputs), ("outputs", record.outputs)):
        twice = _duplicate(spec.name for spec in specs)
        if twice is not None:
            fail(side, f"{twice[:80]!r} stands twice")
        if not specs:
            fail(side, "is empty")


def _manifest(record: Manifest, fail: Fail) -> None:
    _check_task(record, fail)
    if not record.graphs:
        fail("graphs", "is empty")
    twice = _duplicate(graph.name.casefold() for graph in record.graphs)
    if twice is not None:
        fail("graphs", f"graph {twice[:80]!r} stands twice")
    _check_paths(record, fail)
    _check_labels(record, fail)


def _check_task(record: Manifest, fail: Fail) -> None:
    from edge_tx.tasks import TASKS

    if record.task not in TASKS:
        fail(
            "task",
            f"{record.task[:80]!r} is not a task of this version (the bundle was written by "
            f"edge_tx {record.edge_tx[:40]!r}); known: {', '.join(TASKS)}",
            BundleTooNew,
        )


def _check_paths(record: Manifest, fail: Fail) -> None:
    files = [*record.files, *(file for graph in record.graphs for file in graph.files)]
    # Compared without case: such names are one file on macOS and Windows.
    paths = [file.path.casefold() for file in files]
    twice = _duplicate(paths)
    if twice is not None:
        fail("", f"file {twice[:80]!r} is named twice")
    folders = {path[:i] for path in paths for i, c in enumerate(path) if c == "/"}
    both = folders.intersection([*paths, MANIFEST])
    if both:
        fail("", f"{min(both)[:80]!r} is a file and a folder")
    for wanted in (TOKENIZER, GOLDEN):
        if wanted not in (file.path for file in record.files):
            fail("files", f"{wanted} is missing")
    if len(files) > LIMITS.files:
        fail("", f"names more than {LIMITS.files} files", BundleUnsafe)
    if sum(file.size for file in files) > LIMITS.total_bytes:
        fail("", f"names more than {LIMITS.total_bytes >> 30} GiB of files", BundleUnsafe)


def _check_labels(record: Manifest, fail: Fail) -> None:
    labels = len(record.settings.labels)
    for index, graph in enumerate(record.graphs):
        outputs = [(spec.name, spec.shape[-1]) for spec in graph.outputs if spec.shape]
        if labels and len(outputs) == 1 and isinstance(outputs[0][1], int):
            name, width = outputs[0]
            if width != labels:
                fail(
                    "settings.labels",
                    f"{labels} labels, but graphs[{index}] gives {width} numbers in {name[:40]!r}",
                )


def _duplicate(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


_RULES: Mapping[type, Rule] = {
    FileRecord: _file,
    Graph: _graph,
    Manifest: _manifest,
    Parity: _parity,
    Source: _source,
    TaskSettings: _settings,
    TensorSpec: _spec,
}
