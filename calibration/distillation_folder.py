"""Writing a changed model as the folder it came from: config, weights, and all that goes along."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx import swap
from edge_tx.errors import InvalidConfig
from edge_tx.exporters.checkpoint import Checkpoint
from edge_tx.exporters.quiet import quiet

if TYPE_CHECKING:
    import torch

__all__ = ["new_folder", "write_model"]

# Tokenizer, prompts, vocabularies, the model's card; other formats of the weights stay behind.
_TRAVELS = ("*.json", "*.txt", "*.model", "*.bpe.codes", "*.md", "LICENSE*")
_OWN = ("config.json", "model.safetensors.index.json")


def new_folder(output: str | os.PathLike[str]) -> Path:
    """Checks that a folder may be written somewhere.

    Raises:
        InvalidConfig: Something is there already.
    """
    path = Path(os.path.realpath(output))
    if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
        raise InvalidConfig(f"{output} is there already, and is not replaced: choose another name")
    return path


def write_model(
    network: torch.nn.Module,
    origin: Checkpoint,
    output: Path,
    records: Mapping[str, Mapping[str, Any]],
) -> None:
    """Writes an ordinary folder of transformers, or of sentence-transformers if it was one.

    Everything appears in one step at the end.

    Args:
        network: The transformer.
        origin: Where it came from; its tokenizer and its further modules go along.
        output: Of :func:`new_folder`.
        records: What was done, by the name of a JSON file to keep it in.

    Raises:
        BundleError: It cannot be written.
    """
    with swap.io_errors(f"write {output}"), swap.work_folder(output) as work:
        new = work / "new"
        for source in _companions(origin):
            target = new / source.relative_to(origin.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        with quiet(), _without_bars():
            network.save_pretrained(new / origin.transformer.relative_to(origin.folder))
        for name, record in records.items():
            (new / name).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        swap.sync_tree(new)
        swap.publish(new, output, work)


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _companions(origin: Checkpoint) -> Iterator[Path]:
    folders = {origin.folder, origin.transformer}
    for folder in folders:
        for pattern in _TRAVELS:
            yield from (p for p in folder.glob(pattern) if p.is_file() and p.name not in _OWN)
    for row in origin.modules:
        folder = origin.folder / row.path
        if folder not in folders:
            yield from (path for path in folder.rglob("*") if path.is_file())
