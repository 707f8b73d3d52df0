"""A checkpoint on disk: found or fetched, and everything checked that needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters.files import parse_json, read_json
from edge_tx.exporters.hub import locate
from edge_tx.exporters.weights import weight_files

__all__ = ["Checkpoint", "ModuleRow", "open_checkpoint"]


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One entry of a sentence-transformers ``modules.json``.

    Attributes:
        type: Dotted name of its class.
        path: Its folder, relative to the checkpoint's; empty for the checkpoint's own.
    """

    type: str
    path: str

    @property
    def kind(self) -> str:
        """Name of its class."""
        return self.type.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with a model of one of the known layouts.

    Attributes:
        name: Folder or hub id, as it was given.
        folder: Where it lies.
        transformer: Where config.json, weights and tokenizer lie: ``folder``, or the folder of
            the first module of an old sentence-transformers layout.
        revision: Commit of the hub repository; empty for a local folder.
        config: Contents of config.json.
        sentence: Contents of config_sentence_transformers.json; empty if there is none.
        modules: Contents of modules.json; empty if there is none.
        weights: The safetensors files of the transformer.
    """

    name: str
    folder: Path
    transformer: Path
    revision: str
    config: Mapping[str, Any]
    sentence: Mapping[str, Any]
    modules: tuple[ModuleRow, ...]
    weights: tuple[Path, ...]

    @property
    def model_type(self) -> str:
        """The family, e.g. ``"bert"``."""
        return str(self.config["model_type"])

    @property
    def architectures(self) -> tuple[str, ...]:
        """Classes that config.json says the weights were saved from."""
        return tuple(self.config.get("architectures") or ())


def open_checkpoint(model: str | Path, revision: str | None = None) -> Checkpoint:
    """Finds a checkpoint and checks it as far as that needs no torch.

    Args:
        model: A local folder, or the id of a hub repository.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        InvalidConfig: There is no such folder, repository or revision.
        UnsupportedModel: It cannot be fetched, is damaged, or holds something else than
            safetensors weights of a transformers model.
    """
    folder, commit = locate(model, revision)
    modules = _read_modules(folder / "modules.json")
    transformer = folder / modules[0].path if modules else folder
    config = _read_config(transformer)
    sentence = folder / "config_sentence_transformers.json"
    return Checkpoint(
        # A folder's own name, not its path: bundles travel, and paths tell of the machine.
        name=str(model) if commit else folder.resolve().name,
        folder=folder,
        transformer=transformer,
        revision=commit,
        config=config,
        sentence=read_json(sentence) if sentence.exists() else {},
        modules=modules,
        weights=weight_files(transformer, config, str(model) if commit else ""),
    )


def _read_modules(path: Path) -> tuple[ModuleRow, ...]:
    if not path.exists():
        return ()
    value = parse_json(path)
    if not isinstance(value, list) or not value:
        raise UnsupportedModel(f"{path} is not a list of modules")
    return tuple(_module_row(path, entry) for entry in value)


def _module_row(source: Path, entry: Any) -> ModuleRow:
    kind = entry.get("type") if isinstance(entry, dict) else None
    path = entry.get("path", "") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or not isinstance(path, str):
        raise UnsupportedModel(f"{source} has an entry without a type and a path: {entry!r}")
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise UnsupportedModel(f"{source} reaches outside its folder: {path!r}")
    return ModuleRow(kind, path)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists() and (folder / "adapter_config.json").exists():
        raise UnsupportedModel(
            f"{folder} holds a PEFT adapter: merge it into its base model (merge_and_unload) and "
            "save that"
        )
    config = read_json(path)
    if not isinstance(config.get("model_type"), str):
        raise UnsupportedModel(f"{path} has no model_type: it is not a transformers model's config")
    if config.get("auto_map"):
        raise UnsupportedModel(
            f"{path} needs code from the checkpoint itself (auto_map), which is never run: "
            "convert it to an architecture of transformers"
        )
    if config.get("quantization_config"):
        raise UnsupportedModel(
            f"{path} says the weights are quantised already: export the original checkpoint"
        )
    return config
