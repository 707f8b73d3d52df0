"""MLPerf's own LoadGen as the driver of a scenario: the referee of :mod:`edge_tx.bench.scenarios`.

It chooses the inputs, times the queries and judges them; here is only what answers, and what is
read from its log. https://github.com/mlcommons/inference/tree/master/loadgen
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edge_tx.errors import MissingDependency, SessionFailed
from edge_tx.report import ScenarioResult

if TYPE_CHECKING:
    from edge_tx.bench.cell import Trial
    from edge_tx.bench.scenarios import Answer, Scenario

__all__ = ["issue", "require", "result_of"]

_INSTALL = "pip install 'edge-tx[loadgen]'"
_MARK = ":::MLLOG"
_DETAIL = "mlperf_log_detail.txt"
_CHUNK = 256
# No bound is given for a query of Server: its p99 is told, and its reader judges.
_NO_BOUND_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class _Result:
    """Where LoadGen's log has what a scenario is judged by.

    Attributes:
        key: Of the metric.
        scale: That makes it of the unit.
    """

    key: str
    scale: float


_RESULTS: Mapping[str, _Result] = {
    "SingleStream": _Result("result_90.00_percentile_latency_ns", 1e-6),
    "MultiStream": _Result("result_99.00_percentile_per_query_latency_ns", 1e-6),
    "Offline": _Result("result_samples_per_second", 1.0),
    "Server": _Result("result_99.00_percentile_latency_ns", 1e-6),
}


def issue(
    scenario: Scenario, trial: Trial, library: Sequence[Any], answer: Answer, time_ns: int
) -> ScenarioResult:
    """Runs a scenario.

    Args:
        scenario: Which.
        trial: Its rate and seed.
        library: Inputs that LoadGen chooses from.
        answer: Answers the inputs of a query.
        time_ns: Time to run at least.

    Raises:
        MissingDependency: LoadGen is not installed.
        SessionFailed: What answers failed, or LoadGen gave no result.
    """
    lg = _module()
    estimate = _estimate(scenario, library, answer)
    with tempfile.TemporaryDirectory(prefix="edge-tx-loadgen-") as folder:
        settings = _settings(lg, scenario, trial, estimate, time_ns)
        log = lg.LogSettings()
        log.enable_trace = False
        log.log_output.outdir = folder
        log.log_output.copy_summary_to_stdout = False
        failures: list[Exception] = []
        served = _served(lg, library, answer, failures, at_once=not scenario.needs_rate)
        with served as respond, _handles(lg, respond, len(library)) as (sut, qsl):
            begin = perf_counter_ns()
            lg.StartTestWithLogSettings(sut, qsl, settings, log)
        if failures:
            raise SessionFailed(f"LoadGen's {scenario.name} failed: {failures[0]}")
        detail = Path(folder, _DETAIL).read_text(encoding="utf-8", errors="replace")
    return result_of(scenario, trial, detail, perf_counter_ns() - begin)


def result_of(scenario: Scenario, trial: Trial, detail: str, elapsed_ns: int) -> ScenarioResult:
    """Reads LoadGen's detailed log.

    Args:
        scenario: That was run.
        trial: Its rate.
        detail: Contents of ``mlperf_log_detail.txt``.
        elapsed_ns: That the run took, all in all.

    Raises:
        SessionFailed: The log has no result.
    """
    found = dict(_entries(detail))
    wanted = _RESULTS[scenario.name]
    if wanted.key not in found:
        raise SessionFailed(f"LoadGen's log of {scenario.name} has no {wanted.key}")
    judged_by_latency = bool(scenario.percentile)
    queries = int(found.get("result_query_count", 0)) or int(found.get("generated_query_count", 1))
    samples = int(found.get("generated_samples_per_query", scenario.inputs))
    valid = found.get("result_validity") == "VALID"
    return ScenarioResult(
        name=scenario.name,
        driver="loadgen",
        metric=f"p{scenario.percentile:g} latency" if judged_by_latency else "throughput",
        unit="ms" if judged_by_latency else "per second",
        value=float(found[wanted.key]) * wanted.scale,
        queries=queries,
        samples_per_query=samples,
        elapsed_ns=elapsed_ns,
        target_qps=trial.rate if scenario.needs_rate else None,
        valid=valid,
        note="" if valid else _why_invalid(found),
    )


def _why_invalid(found: Mapping[str, Any]) -> str:
    said = f"{found.get('result_invalid_reason', '')} {found.get('early_stopping_result', '')}"
    return " ".join(said.replace("*", " ").split()) or "LoadGen calls it invalid"


def require() -> None:
    """Checks that LoadGen is installed.

    Raises:
        MissingDependency: It is not.
    """
    _module()


def _module() -> Any:
    try:
        import mlperf_loadgen
    except ImportError as exc:
        raise MissingDependency("mlcommons-loadgen", "--loadgen", _INSTALL) from exc
    return mlperf_loadgen


def _estimate(scenario: Scenario, library: Sequence[Any], answer: Answer) -> int:
    """Nanoseconds of a query, which LoadGen asks for to know how many it will need."""
    whole = [library[i % len(library)] for i in range(_CHUNK)]
    size = scenario.inputs if scenario.percentile else _CHUNK
    answer(whole[:size])
    start = perf_counter_ns()
    count = 0
    for at in range(0, _CHUNK - size + 1, size):
        answer(whole[at : at + size])
        count += 1
    per_query = (perf_counter_ns() - start) // count
    return max(1, per_query if scenario.percentile else per_query // _CHUNK)


def _settings(lg: Any, scenario: Scenario, trial: Trial, estimate_ns: int, time_ns: int) -> Any:
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario.name)
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = max(1, time_ns // 1_000_000)
    settings.min_query_count = scenario.min_queries
    settings.single_stream_expected_latency_ns = estimate_ns
    settings.multi_stream_expected_latency_ns = estimate_ns
    settings.multi_stream_samples_per_query = scenario.inputs
    settings.offline_expected_qps = 1e9 / estimate_ns
    settings.server_target_qps = trial.rate or 1.0
    settings.server_target_latency_ns = _NO_BOUND_NS
    for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
        setattr(settings, name, trial.seed + 1)
    return settings


@contextmanager
def _handles(lg: Any, respond: Callable[[Any], None], count: int) -> Iterator[tuple[Any, Any]]:
    def nothing(*_arguments: Any) -> None:
        """The inputs are in memory, and nothing is held back."""

    sut = lg.ConstructSUT(respond, nothing)
    qsl = lg.ConstructQSL(count, count, nothing, nothing)
    try:
        yield sut, qsl
    finally:
        lg.DestroyQSL(qsl)
        lg.DestroySUT(sut)


@contextmanager
def _served(
    lg: Any, library: Sequence[Any], answer: Answer, failures: list[Exception], at_once: bool
) -> Iterator[Callable[[Any], None]]:
    """What LoadGen calls with each query: answers it there, or leaves it to a thread.

    Queries of Server come while others are answered, and must not hold LoadGen's clock up.
    """

    def respond(samples: Any) -> None:
        try:
            if not failures:
                answer([library[sample.index] for sample in samples])
        except Exception as exc:  # noqa: BLE001 - through C++ it would end the process
            failures.append(exc)
        lg.QuerySamplesComplete([lg.QuerySampleResponse(s.id, 0, 0) for s in samples])

    if at_once:
        yield respond
        return
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        while (samples := waiting.get()) is not None:
            respond(samples)

    thread = threading.Thread(target=work, name="edge-tx-loadgen", daemon=True)
    thread.start()
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        thread.join()


def _entries(detail: str) -> Iterator[tuple[str, Any]]:
    """Keys and values of the lines ``:::MLLOG {"key": ..., "value": ...}``."""
    for line in detail.splitlines():
        if line.startswith(_MARK):
            try:
                entry = json.loads(line[len(_MARK) :])
            except ValueError:
                continue
            yield str(entry.get("key")), entry.get("value")
