"""What a string-in graph says of itself in its folder: ``text_in.json`` (docs/embedding.md)."""

from __future__ import annotations

from pathlib import Path

from edge_tx import golden_json, swap
from edge_tx.bundle_folder import hash_file
from edge_tx.errors import BundleCorrupt, BundleTooNew
from edge_tx.golden_json import Golden
from edge_tx.manifest import FileRecord, Parity
from edge_tx.manifest_json import GOLDEN
from edge_tx.strict_json import Reader, loads

__all__ = ["CARD", "SCHEMA", "exam", "is_text_in"]

CARD = "text_in.json"
"""Name of the file."""

SCHEMA = 1
"""Version of its format."""


def is_text_in(path: str | Path) -> bool:
    """Whether there is a string-in graph's folder."""
    return Path(path, CARD).is_file()


def exam(path: str | Path) -> tuple[str, Golden, Parity]:
    """Reads what a program that runs the graph is held against.

    Args:
        path: The folder.

    Returns:
        The graph's name, the golden answers to single texts, and the graph's parity.

    Raises:
        BundleCorrupt: A file of the folder is damaged.
        BundleTooNew: A newer edge_tx wrote it.
        BundleError: A file cannot be read.
    """
    folder = Path(path)
    reader = Reader(CARD)
    with swap.io_errors(f"read {folder}"):
        card = loads((folder / CARD).read_bytes(), CARD)
        if not isinstance(card, dict) or type(card.get("schema")) is not int:
            raise BundleCorrupt(f"{CARD}: expected a schema version")
        if card["schema"] > SCHEMA:
            raise BundleTooNew(f"{CARD}: schema {card['schema']} is of a newer edge_tx: update it")
        for record in reader.read(tuple[FileRecord, ...], card.get("files")):
            _check(folder, record)
        golden = golden_json.read((folder / GOLDEN).read_bytes())
    return reader.read(str, card.get("graph")), golden, reader.read(Parity, card.get("parity"))


def _check(folder: Path, record: FileRecord) -> None:
    if Path(record.path).name != record.path:
        raise BundleCorrupt(f"{CARD}: {record.path!r} is not a file of the folder")
    if hash_file(folder / record.path) != (record.size, record.sha256):
        raise BundleCorrupt(f"{folder / record.path} is damaged: its sha256 is not {CARD}'s")
