"""``edge-tx bench`` on an Android phone: adb, and LiteRT's own ``benchmark_model``.

Written after the documented format of both; not tried on a phone. A phone has no Python here,
so what is measured is the ``.tflite`` graph alone, on random inputs: no tokenizer, no decoding,
and no answers that could be checked.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from edge_tx.bench import benchmark_model
from edge_tx.bench.benchmark_model import Timing
from edge_tx.bundle import Bundle
from edge_tx.errors import InvalidConfig, MissingDependency, RemoteFailed, SessionFailed
from edge_tx.manifest import Graph
from edge_tx.report import Report, ReportContext, ReportModel, ReportRow

__all__ = ["Adb", "Phone", "command", "measure"]

# Where a shell user may write and execute on every phone.
_THERE = "/data/local/tmp/edge-tx"
_SUFFIX = ".tflite"
_PATIENCE_S = 900.0
_PROPERTIES = {
    "model": "ro.product.model",
    "chip": "ro.soc.model",
    "android": "ro.build.version.release",
}
_BUCKET = re.compile(r"b(\d+)_s(\d+)")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Phone:
    """What to measure with.

    Attributes:
        tool: LiteRT's ``benchmark_model``, built for the phone.
        serial: Which phone, as ``adb devices`` says; empty if there is one only.
        threads: CPU threads.
        seconds: Time to spend on timed runs at least.
        runs: Timed runs at least.
    """

    tool: Path
    serial: str = ""
    threads: int = 4
    seconds: float = 3.0
    runs: int = 50

    def __post_init__(self) -> None:
        if not self.tool.is_file():
            raise InvalidConfig(f"{self.tool} is no file: give LiteRT's benchmark_model")


def command(phone: Phone, model: str, signature: str = "") -> list[str]:
    """The tool's command line on the phone.

    Args:
        phone: What to measure with.
        model: Path of the ``.tflite`` file there.
        signature: Which of the file's signatures; needed if there are several.
    """
    words = [
        f"{_THERE}/benchmark_model",
        f"--graph={model}",
        f"--num_threads={phone.threads}",
        f"--num_runs={phone.runs}",
        f"--min_secs={phone.seconds:g}",
    ]
    return [*words, f"--signature_to_run_for={signature}"] if signature else words


@dataclass(frozen=True, slots=True)
class Adb:
    """One phone, through the system's own ``adb``."""

    serial: str = ""

    def words(self, *words: str) -> list[str]:
        """A whole command line of adb.

        Raises:
            MissingDependency: There is no ``adb`` here.
        """
        adb = shutil.which("adb")
        if adb is None:
            raise MissingDependency(
                "adb", "measuring on a phone", "install the Android platform tools"
            )
        return [adb, *(("-s", self.serial) if self.serial else ()), *words]

    def run(self, *words: str) -> str:
        """Runs adb and gives its stdout.

        Raises:
            MissingDependency: There is no ``adb`` here.
            RemoteFailed: It failed: no phone, several, or one that is not authorised.
        """
        line = self.words(*words)
        try:
            done = subprocess.run(
                line,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise RemoteFailed(f"adb {words[0]} gave no answer in {_PATIENCE_S:.0f} s") from exc
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise RemoteFailed(f"adb {words[0]} failed: {said[-1][:300]}")
        return done.stdout


def measure(phone: Phone, bundles: Sequence[Path], tell: Tell = lambda _stage: None) -> Report:
    """Measures the TFLite graphs of bundles on a phone.

    Raises:
        BundleError: A bundle cannot be read.
        InvalidConfig: There is no TFLite graph in them.
        MissingDependency: There is no ``adb`` here.
        RemoteFailed: There is no phone, or adb failed.
    """
    adb = Adb(phone.serial)
    rows: list[ReportRow] = []
    models: list[ReportModel] = []
    with _folder(adb):
        adb.run("push", str(phone.tool), f"{_THERE}/benchmark_model")
        adb.run("shell", "chmod", "755", f"{_THERE}/benchmark_model")
        for path in bundles:
            with Bundle.open(path) as bundle:
                manifest = bundle.manifest
                name = manifest.source.name
                models.append(ReportModel(name, manifest.task, manifest.source.name, str(path)))
                for graph in manifest.graphs:
                    if graph.entry.endswith(_SUFFIX):
                        tell(f"measuring {graph.name} on the phone")
                        rows += _rows(adb, phone, bundle, graph, name)
        facts = {
            key: adb.run("shell", "getprop", name).strip() for key, name in _PROPERTIES.items()
        }
    if not rows:
        raise InvalidConfig("no bundle holds a TFLite graph: export it with --to tflite")
    return Report(_context(phone, facts, models), tuple(rows))


@contextmanager
def _folder(adb: Adb) -> Iterator[None]:
    adb.run("shell", "mkdir", "-p", _THERE)
    try:
        yield
    finally:
        adb.run("shell", "rm", "-rf", _THERE)


def _rows(adb: Adb, phone: Phone, bundle: Bundle, graph: Graph, model: str) -> list[ReportRow]:
    there = f"{_THERE}/model{_SUFFIX}"
    adb.run("push", str(bundle.entry(graph)), there)
    first = _output(adb, command(phone, there))
    # A file with several signatures is refused with the list of them.
    names = benchmark_model.signatures(first)
    outputs = {n: _output(adb, command(phone, there, n)) for n in names} if names else {"": first}
    return [_row(phone, graph, model, n, output) for n, output in outputs.items()]


def _output(adb: Adb, words: Sequence[str]) -> str:
    """Runs the tool into a file and pulls it: adb's own stdout mixes both streams anyhow."""
    said = f"{_THERE}/output.txt"
    # The tool's exit code says less than its output, which is read whatever it was.
    adb.run("shell", f"{shlex.join(words)} > {said} 2>&1; true")
    with tempfile.TemporaryDirectory(prefix="edge-tx-") as folder:
        here = Path(folder, "output.txt")
        adb.run("pull", said, str(here))
        return here.read_text(encoding="utf-8", errors="replace")


def _row(phone: Phone, graph: Graph, model: str, signature: str, output: str) -> ReportRow:
    shape = _BUCKET.fullmatch(signature)
    batch, seq = (int(shape[1]), int(shape[2])) if shape else (1, 0)
    row = ReportRow(
        graph.name,
        graph.backend,
        graph.precision,
        phone.threads,
        batch,
        seq,
        graph.size,
        model=model,
        device="phone",
        parity=graph.parity,
    )
    try:
        timing = benchmark_model.parse(output)
    except SessionFailed as exc:
        return replace(row, status="failed", failure="error", note=str(exc))
    return _filled(row, timing)


def _filled(row: ReportRow, timing: Timing) -> ReportRow:
    return replace(
        row,
        threads=timing.threads or row.threads,
        provider=timing.delegated,
        load_ns=timing.load_ns,
        first_answer_ns=timing.warm_up.first_ns,
        warm_up_calls=timing.warm_up.count,
        throughput=row.batch * 1e9 / timing.timed.mean_ns if timing.timed.mean_ns else None,
        note=_note(timing),
    )


def _note(timing: Timing) -> str:
    runs = timing.timed
    parts = [f"mean {runs.mean_ns / 1e6:.2f} ms of {runs.count} runs on random inputs"]
    for name, value in (("p50", runs.p50_ns), ("p95", runs.p95_ns)):
        parts += [f"{name} {value / 1e6:.2f} ms"] if value is not None else []
    parts.append(f"{runs.min_ns / 1e6:.2f} to {runs.max_ns / 1e6:.2f} ms")
    if timing.memory_bytes is not None:
        parts.append(f"memory grew by {timing.memory_bytes / 1e6:.0f} MB")
    return ", ".join(parts)


def _context(phone: Phone, facts: dict[str, str], models: list[ReportModel]) -> ReportContext:
    name = " ".join(filter(None, (facts["model"], facts["chip"]))) or "a phone"
    return ReportContext(
        device={"cpu": {"model": name}, "android": facts["android"]},
        versions={"benchmark_model": phone.tool.name},
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        models=tuple(models),
        settings={"seconds": phone.seconds, "runs": phone.runs, "threads": phone.threads},
        unmeasured={
            "percentiles": "benchmark_model keeps no samples",
            "accuracy": "benchmark_model answers random inputs",
        },
        remarks=("measured by LiteRT's benchmark_model: the graph alone, without the tokenizer",),
    )
