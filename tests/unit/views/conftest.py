"""Reports with a row of every kind, and a browser to look at their pages with."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_tx.manifest import Parity
from edge_tx.report import (
    Conditions,
    Memory,
    Noise,
    Phases,
    Report,
    ReportContext,
    ReportModel,
    ReportRow,
    ScenarioResult,
    ThreadBudget,
    Window,
)
from edge_tx.stats import LatencyStats

GRAPHS = {  # graph -> (milliseconds of a short text, MB, accuracy)
    "onnx-fp32": (4.1, 260, 0.8203),
    "onnx-dynamic_w8": (2.3, 185, 0.8187),
    "openvino-fp32": (3.9, 310, 0.8203),
    "openvino-static_w8a8": (2.6, 270, 0.8161),
    "tflite-fp32": (6.8, 240, 0.8203),
}


_SCENARIOS = (
    ScenarioResult("SingleStream", "edge_tx", "p90 latency", "ms", 4.2, 1024, 1, 10**9),
    ScenarioResult(
        "Server", "edge_tx", "p99 latency", "ms", 9.1, 6, 1, 10**8, valid=False, note="6 queries"
    ),
)


def samples(rng: random.Random, milliseconds: float, count: int = 200) -> tuple[int, ...]:
    """Times as they are: most near each other, some late."""
    return tuple(
        round(1e6 * milliseconds * (1 + rng.gammavariate(2, 0.03) + (rng.random() < 0.02)))
        for _ in range(count)
    )


def row(
    rng: random.Random, model: str, graph: str, batch: int, seq: int, slow: float = 1.0
) -> ReportRow:
    milliseconds, mb, score = GRAPHS[graph]
    cost = slow * milliseconds * batch**0.9 * (max(seq, 24) / 24) ** 1.1
    times = samples(rng, cost)
    stats = LatencyStats.of(times)
    part = [LatencyStats.of([round(t * share) for t in times]) for share in (0.05, 0.93, 0.02)]
    mixed = seq == 0
    return ReportRow(
        graph=graph,
        backend=graph.partition("-")[0],
        precision=graph.partition("-")[2],
        threads=2,
        batch=batch,
        seq=seq,
        size_bytes=90_300_000 if "fp32" in graph else 23_400_000,
        model=model,
        device="cpu",
        provider="CPU",
        parity=Parity(20, 3.1e-7, 0.9999999, 1.0),
        accuracy={"spearman": score} if mixed else {},
        load_ns=210_000_000,
        first_answer_ns=9_000_000,
        latency=stats,
        phases=Phases(*part) if mixed else None,
        throughput=stats.per_second(batch),
        memory=Memory(peak_bytes=int((mb + batch * seq / 20) * 1e6)),
        samples_ns=times,
        budget=ThreadBudget(2, 2, 9, 1.9),
        scenarios=_SCENARIOS if mixed else (),
        sustained=tuple(
            Window(i * 10**9, LatencyStats.of(samples(rng, cost * (1 + i / 100), 20)))
            for i in range(60 if mixed else 0)
        ),
    )


def rows(model: str = "all-MiniLM-L6-v2", slow: float = 1.0, seed: int = 0) -> list[ReportRow]:
    rng = random.Random(seed)
    cells = [(1, 0), *((1, seq) for seq in (16, 64, 128, 256)), *((b, 64) for b in (4, 16))]
    return [row(rng, model, graph, *cell, slow) for graph in GRAPHS for cell in cells]


def bad_rows(model: str = "all-MiniLM-L6-v2") -> list[ReportRow]:
    lost: list[tuple[str, str, str, str]] = [
        ("tensorrt-fp16", "skipped", "", "tensorrt needs an NVIDIA GPU, and there is none here"),
        ("tflite-static_w8a8", "failed", "killed", "the process was killed by signal 9"),
        ("openvino-fp16", "failed", "out-of-memory", "no memory left under the limit of 512 MB"),
    ]
    return [
        ReportRow(
            graph=graph,
            backend=graph.partition("-")[0],
            precision=graph.partition("-")[2],
            threads=2,
            batch=1,
            seq=0,
            size_bytes=45_000_000,
            model=model,
            status=status,
            failure=failure,
            note=note,
        )
        for graph, status, failure, note in lost
    ]


def report(
    rows: list[ReportRow], models: tuple[str, ...] = ("all-MiniLM-L6-v2",), **context: Any
) -> Report:
    defaults: dict[str, Any] = {
        "device": {
            "architecture": "x86_64",
            "cpu": {"model": "AMD EPYC", "logical_cores": 2, "instruction_sets": ["avx2"]},
            "memory_bytes": 25_276_502_016,
            "accelerators": [],
        },
        "versions": {"edge_tx": "0.1.0", "onnxruntime": "1.32.0"},
        "created": "2026-01-02T03:04:05+00:00",
        "models": tuple(ReportModel(n, "sentence-embedding", n, f"{n}.bundle") for n in models),
        "settings": {"seed": 0, "seconds": 3.0},
        "before": Conditions(governor="performance", load_average=(0.1, 0.2, 0.3)),
        "after": Conditions(governor="performance", load_average=(1.9, 0.9, 0.5)),
        "noise": Noise(2, 0.081, False, "noisy: the same cell differed by 8.1 % from itself"),
        "unmeasured": {"energy": "no counter can be read here"},
    }
    return Report(ReportContext(**(defaults | context)), tuple(rows))


@pytest.fixture(scope="session")
def full() -> Report:
    """Five graphs of one model in seven places, and one row for each way to fail."""
    return report(rows() + bad_rows())


@pytest.fixture(scope="session")
def other() -> Report:
    """The same graphs of another model."""
    return report(rows("bge-small-en", 1.9, 3), ("bge-small-en",))


@pytest.fixture(scope="session")
def slower() -> Report:
    """The first model again."""
    return report(rows(slow=1.2, seed=4))


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Report]:
    """``make_report(rows, models=..., **context)``."""
    return report


_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class Tab:
    """A page in headless Chromium, spoken to over a pipe (``--remote-debugging-pipe``)."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # It reads from 3 and writes to 4; both ends are moved out of the way of each other first.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)]
        self._process = os.posix_spawn(
            program,
            [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, ends[0], 3),
                (os.POSIX_SPAWN_DUP2, ends[1], 4),
            ],
        )
        for end in (*ends, theirs_in, theirs_out):
            os.close(end)
        self._out, self._in = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb")
        self._calls, self._session, self._rest = 0, "", b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        self._calls += 1
        message: dict[str, Any] = {"id": self._calls, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = self._in.read1(1 << 16)
            assert read, "the browser has gone"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, page: Path, width: int = 1280, theme: str = "light") -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": theme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call("Page.navigate", url=page.as_uri())
        self.run(
            "new Promise((done) => document.readyState === 'complete' ? done() "
            ": addEventListener('load', done))"
        )

    def run(self, script: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self) -> None:
        self._session = ""
        self.call("Browser.close")
        os.waitpid(self._process, 0)


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab of a browser; skips where there is none."""
    names = (
        os.environ.get("EDGE_TX_CHROMIUM", ""),
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    program = next((found for name in names if name and (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no chromium here: install it, or name it in EDGE_TX_CHROMIUM")
    opened = Tab(program, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
