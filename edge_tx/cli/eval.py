"""``edge-tx eval``: the metrics of every graph, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_tx.cli import reading
from edge_tx.cli.options import pairs_option, threads_option
from edge_tx.cli.screen import Screen, grid, human_bytes, output_options

if TYPE_CHECKING:
    from edge_tx.scoreboard import GraphScore


@click.command("eval")
@click.argument("bundle", type=click.Path())
@click.option(
    "--data",
    required=True,
    type=click.Path(),
    help="Rows with labels: .jsonl, .csv, .tsv or .parquet; plain text for cosine and agreement.",
)
@click.option(
    "--metric",
    "metric",
    required=True,
    help="accuracy, f1, f1_binary, em, spearman, pearson, cosine, agreement; several with commas.",
)
@click.option("--graph", "graphs", multiple=True, help="Only this graph; several times for more.")
@threads_option
@pairs_option
@output_options
def command(
    bundle: str,
    data: str,
    metric: str,
    graphs: tuple[str, ...],
    threads: int | None,
    pairs: tuple[str, ...],
    screen: Screen,
) -> None:
    """Measure every graph of a bundle on labelled data, side by side.

    The metrics of each task and what its labels look like are in docs/quantization.md.
    """
    from edge_tx.scoreboard import evaluate

    with screen.stages() as progress:
        board = evaluate(
            bundle,
            data,
            [name.strip() for name in metric.split(",") if name.strip()],
            graphs=graphs,
            threads=threads,
            options=reading.options(pairs),
            progress=progress,
        )
    columns = ("graph", "size", *board.metrics, "note")
    lines = [_line(row, board.metrics) for row in board.rows]
    shown = grid(columns, lines, right=" ".join(("size", *board.metrics)))
    screen.result(board.to_dict(), f"{board.examples} examples", "", shown)
    failed = next((row.error for row in board.rows if row.error is not None), None)
    if failed is not None:
        raise failed


def _line(row: GraphScore, metrics: tuple[str, ...]) -> tuple[str, ...]:
    scores = (f"{row.scores[name]:.4f}" if name in row.scores else "-" for name in metrics)
    return (row.graph, human_bytes(row.size_bytes), *scores, row.note)
