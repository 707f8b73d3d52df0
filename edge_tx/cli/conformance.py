"""``edge-tx conformance``: a program in any language against a bundle's golden answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge_tx.cli.screen import Screen, facts, output_options
from edge_tx.errors import ParityFailed, SessionFailed

if TYPE_CHECKING:
    from edge_tx.conformance import Score
    from edge_tx.conformance_program import Outcome
    from edge_tx.golden import Golden
    from edge_tx.manifest import Parity


@click.command("conformance")
@click.argument("bundle", type=click.Path())
@click.option(
    "--exec",
    "line",
    required=True,
    metavar="COMMAND",
    help="The program and its arguments, in one string; no shell runs.",
)
@click.option("--graph", help="The graph it runs, whose parity sets the limits; the first if none.")
@click.option("--require-ids", is_flag=True, help="Fail answers that do not tell token ids.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Kill the program after so long.",
)
@output_options
def command(
    bundle: str, line: str, graph: str | None, require_ids: bool, timeout: float, screen: Screen
) -> None:
    """Score a program, in any language, against a bundle's golden answers.

    The program reads one JSON question a line from stdin and writes one JSON answer a line to
    stdout: docs/conformance.md is the protocol. BUNDLE may be the folder of a string-in graph.
    Exits with 6 if an answer is wrong or missing, and with 14 if the program crashes, is not
    done in time, or writes what is no answer.
    """
    from edge_tx import conformance, conformance_program

    words = conformance_program.command_of(line)
    name, golden, parity = _exam(bundle, graph)
    with screen.stages() as progress:
        asked = b"".join(question.line() for question in conformance.questions(golden))
        progress(f"running {words[0]}")
        outcome = conformance_program.run(words, asked, timeout_s=timeout)
    score = conformance.score(golden, parity, outcome.answers, require_ids=require_ids)
    screen.result(_record(name, score, outcome), facts(_shown(name, score, outcome)))
    _raise_if_bad(score, outcome, screen)


def _exam(path: str, graph: str | None) -> tuple[str, Golden, Parity]:
    """What is asked: of a bundle, or of the folder of a string-in graph."""
    from edge_tx import text_in
    from edge_tx.bundle import Bundle

    if text_in.is_text_in(path):
        return text_in.exam(path)
    with Bundle.open(path) as bundle:
        chosen = bundle.graph(graph)
        return chosen.name, bundle.golden(), chosen.parity


def _record(graph: str, score: Score, outcome: Outcome) -> dict[str, Any]:
    problems = ([outcome.failure] if outcome.failure else []) + list(score.failures)
    return {
        "graph": graph,
        "ok": not problems,
        "cases": len(score.cases),
        "passed": score.passed,
        "skipped": score.skipped,
        "ids_told": score.ids_told,
        "max_abs_error": _finite(_worst(score)),
        "min_cosine": min(case.min_cosine for case in score.cases),
        "seconds": round(outcome.seconds, 3),
        "failures": problems,
    }


def _shown(graph: str, score: Score, outcome: Outcome) -> dict[str, object]:
    skipped = f", {score.skipped} cannot be asked" if score.skipped else ""
    return {
        "graph": graph,
        "answers": f"{score.passed} of {len(score.cases)} right{skipped}",
        "token ids": f"told in {score.ids_told} of {len(score.cases)}",
        "largest error": f"{_worst(score):.1e}",
        "time": f"{outcome.seconds:.1f} s",
    }


def _worst(score: Score) -> float:
    return max(case.max_abs_error for case in score.cases)


def _finite(number: float) -> float | None:
    """JSON has no infinity: an answer of another shape has no error."""
    return number if number < float("inf") else None


def _raise_if_bad(score: Score, outcome: Outcome, screen: Screen) -> None:
    fatal = ([outcome.failure] if outcome.failure else []) + list(score.malformed)
    failures = fatal or list(score.failures)
    if not failures:
        return
    for failure in failures[1:]:
        screen.remark(failure)
    more = f" (and {len(failures) - 1} more, above)" if len(failures) > 1 else ""
    error = SessionFailed if fatal else ParityFailed
    raise error(f"the program does not conform: {failures[0]}{more}")
