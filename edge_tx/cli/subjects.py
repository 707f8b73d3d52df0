"""The models of ``edge-tx bench``: bundles as they are, checkpoints exported for the while."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tx.backends import available, find
from edge_tx.errors import PartialExport

if TYPE_CHECKING:
    from edge_tx.bench.plan import Plan, Subject
    from edge_tx.cli.screen import Screen

__all__ = ["opened"]


@contextmanager
def opened(
    models: Sequence[str], plan: Plan, checkpoint: str, screen: Screen
) -> Iterator[list[Subject]]:
    """The subjects of a benchmark.

    A checkpoint is exported to every backend that is to be measured, into a folder that is gone
    when the block ends.

    Args:
        models: Bundles, folders of checkpoints, hub ids.
        plan: Whose backends are exported to.
        checkpoint: Of bundles, for a reference; empty if unknown.
        screen: Told what is exported.

    Yields:
        One for each model.

    Raises:
        MissingDependency: A checkpoint is given, and the ``export`` extra is not installed.
        UnsupportedModel: A checkpoint cannot be exported.
    """
    with tempfile.TemporaryDirectory(prefix="edge-tx-bench-") as folder:
        yield [
            _subject(model, Path(folder) / f"{number}.bundle", plan, checkpoint, screen)
            for number, model in enumerate(models)
        ]


def _subject(model: str, output: Path, plan: Plan, checkpoint: str, screen: Screen) -> Subject:
    from edge_tx.bench.plan import Subject

    if not _is_checkpoint(model):
        return Subject(model, checkpoint=checkpoint)
    from edge_tx.exporters.hub import locate
    from edge_tx.exporters.pipeline import export

    folder, _revision = locate(model, None)
    screen.remark(f"{model} is a checkpoint: it is exported first")
    with screen.board() as board:
        try:
            export(folder, output, to=_targets(plan), progress=board)
        except PartialExport as exc:  # what is not there is not measured, and said
            for failure in exc.failures:
                screen.remark(f"not measured: {failure.name}: {failure.error}")
    return Subject(str(output), given=model, checkpoint=str(folder))


def _is_checkpoint(model: str) -> bool:
    """A folder with a checkpoint's config, or no path at all: then it is a hub id."""
    path = Path(model)
    if path.is_dir():
        return (path / "config.json").is_file() or (path / "modules.json").is_file()
    looks_like_a_path = model.startswith((".", "/", "~")) or model.endswith((".etx", ".bundle"))
    return not path.exists() and model.count("/") == 1 and not looks_like_a_path


def _targets(plan: Plan) -> tuple[str, ...]:
    wanted = [find(name) for name in plan.backends] or [
        row for row in available() if not row.hidden and not row.builder
    ]
    return tuple(row.name for row in wanted if row.exporter)
