"""MLPerf Inference's scenarios, issued by our own driver.

Names, queries and metrics are those of the rules
(https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc, section
"Scenarios"): SingleStream sends a query when the last is answered and is judged by its p90;
MultiStream sends eight inputs at once and is judged by its p99; Offline has all inputs at once and
is judged by inputs per second; Server's queries arrive at random, as a Poisson process, and are
judged by the p99 of the time from arrival to answer. The rules ask for 600 seconds; here the time
is what was asked for, and every result says how long it took. A result is valid with as many
queries as LoadGen's early stopping asks for at least: 100 for a p90, 662 for a p99.

Reddi et al., "MLPerf Inference Benchmark", ISCA 2020, arXiv:1911.02549.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edge_tx.errors import UnknownName
from edge_tx.report import ScenarioResult
from edge_tx.stats import LatencyStats, percentile

if TYPE_CHECKING:
    from edge_tx.bench.cell import Cell, Trial
    from edge_tx.runtimes.model import Model

__all__ = ["SCENARIOS", "Issued", "Scenario", "arrivals", "find_scenario", "result_of", "run"]

_MS = 1e6
_CHUNK = 256
# Waking up from sleep takes up to this long; the rest of a wait is spent awake.
_WAKE_NS = 500_000

Answer = Callable[[Sequence[Any]], object]
"""Answers the inputs of one query."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What a driver did.

    Attributes:
        samples_ns: Latency of each query.
        elapsed_ns: From the first query to the last answer.
        inputs: That were answered.
    """

    samples_ns: tuple[int, ...]
    elapsed_ns: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario.

    Attributes:
        name: As MLPerf writes it.
        inputs: Of one query.
        percentile: Of the latency that it is judged by; 0 if by throughput.
        min_queries: That a valid run has at least.
        issue: Called with the trial, inputs without end, what answers, and the time in ns.
        needs_rate: Whether queries arrive at a rate.
    """

    name: str
    inputs: int
    percentile: float
    min_queries: int
    issue: Callable[[Trial, Iterator[Any], Answer, int], Issued]
    needs_rate: bool = False


def _one_after_the_other(inputs: int) -> Callable[[Trial, Iterator[Any], Answer, int], Issued]:
    def issue(_trial: Trial, library: Iterator[Any], answer: Answer, time_ns: int) -> Issued:
        samples: list[int] = []
        begin = now = perf_counter_ns()
        while now - begin < time_ns:
            query = list(islice(library, inputs))
            start = perf_counter_ns()
            answer(query)
            now = perf_counter_ns()
            samples.append(now - start)
        return Issued(tuple(samples), now - begin, inputs * len(samples))

    return issue


def _all_at_once(_trial: Trial, library: Iterator[Any], answer: Answer, time_ns: int) -> Issued:
    """As many inputs as will take about the time, in one query."""
    chunk = list(islice(library, _CHUNK))
    answer(chunk)  # opens what a long list needs
    start = perf_counter_ns()
    answer(chunk)
    once = max(perf_counter_ns() - start, 1)
    query = list(islice(library, _CHUNK * max(1, -(-time_ns // once))))
    start = perf_counter_ns()
    answer(query)
    spent = perf_counter_ns() - start
    return Issued((), spent, len(query))


def _at_random(trial: Trial, library: Iterator[Any], answer: Answer, time_ns: int) -> Issued:
    """A Poisson process: the times between arrivals are exponential.

    Queries are answered in the order of their arrival by one caller with the cell's whole budget
    of threads, so one that arrives while another is answered waits, and its wait counts.
    """
    samples: list[int] = []
    begin = now = perf_counter_ns()
    for arrival in takewhile(lambda at: at < time_ns, arrivals(trial)):
        query = list(islice(library, 1))
        _wait_until(begin + arrival)
        answer(query)
        now = perf_counter_ns()
        samples.append(now - begin - arrival)
    return Issued(tuple(samples), now - begin, len(samples))


def arrivals(trial: Trial) -> Iterator[int]:
    """When the queries of Server arrive, in nanoseconds since the first, without end."""
    draw = random.Random(trial.seed)  # noqa: S311 - arrivals, no secrets
    arrival = 0.0
    while True:
        yield int(arrival)
        arrival += draw.expovariate(trial.rate) * 1e9


def _wait_until(at_ns: int) -> None:
    while (left := at_ns - perf_counter_ns()) > 0:
        if left > _WAKE_NS:
            time.sleep((left - _WAKE_NS) / 1e9)


SCENARIOS: Mapping[str, Scenario] = {
    row.name: row
    for row in (
        Scenario("SingleStream", 1, 90, 100, _one_after_the_other(1)),
        Scenario("MultiStream", 8, 99, 662, _one_after_the_other(8)),
        Scenario("Offline", 1, 0, 1, _all_at_once),
        Scenario("Server", 1, 99, 662, _at_random, needs_rate=True),
    )
}


def find_scenario(name: str) -> Scenario:
    """Looks a scenario up; capitals do not matter.

    Raises:
        UnknownName: There is none of that name.
    """
    for row in SCENARIOS.values():
        if row.name.lower() == name.lower():
            return row
    raise UnknownName("scenario", name, SCENARIOS)


def run(trial: Trial, model: Model, cell: Cell) -> ScenarioResult:
    """Runs a scenario on an open model.

    Args:
        trial: Which, and who drives it.
        model: Warm.
        cell: Whose inputs, options and time.

    Raises:
        MissingDependency: LoadGen is to drive it and is not installed.
        SessionFailed: The graph failed.
    """
    scenario = find_scenario(trial.name)

    def answer(query: Sequence[Any]) -> object:
        return model(query[0] if len(query) == 1 else list(query), **cell.options)

    if trial.driver == "loadgen":
        from edge_tx.bench.loadgen import issue

        return issue(scenario, trial, cell.inputs, answer, cell.min_ns)
    library = cycle(_shuffled(cell.inputs, trial.seed))
    return result_of(scenario, trial, scenario.issue(trial, library, answer, cell.min_ns))


def _shuffled(inputs: Sequence[Any], seed: int) -> list[Any]:
    order = list(inputs)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order
    return order


def result_of(scenario: Scenario, trial: Trial, issued: Issued) -> ScenarioResult:
    """Judges what a driver did by a scenario's metric."""
    samples = issued.samples_ns
    per_second = issued.inputs * 1e9 / max(issued.elapsed_ns, 1)
    judged_by_latency = bool(scenario.percentile)
    queries = len(samples) or 1
    enough = queries >= scenario.min_queries
    return ScenarioResult(
        name=scenario.name,
        driver=trial.driver,
        metric=f"p{scenario.percentile:g} latency" if judged_by_latency else "throughput",
        unit="ms" if judged_by_latency else "per second",
        value=percentile(sorted(samples), scenario.percentile) / _MS
        if judged_by_latency
        else per_second,
        queries=queries,
        samples_per_query=scenario.inputs if judged_by_latency else issued.inputs,
        elapsed_ns=issued.elapsed_ns,
        latency=LatencyStats.of(samples) if samples else None,
        target_qps=trial.rate if scenario.needs_rate else None,
        valid=enough,
        note="" if enough else f"{queries} queries, fewer than {scenario.min_queries}",
        samples_ns=samples,
    )
