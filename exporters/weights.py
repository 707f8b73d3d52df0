"""The weight files of a folder: safetensors only, and sound."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_tx.errors import UnsupportedModel
from edge_tx.exporters.files import first_line, read_json
from edge_tx.exporters.hub import hub_names

__all__ = ["weight_files"]


@dataclass(frozen=True, slots=True)
class _Foreign:
    """Weights that are not safetensors of transformers: how they are told, and what to do."""

    patterns: tuple[str, ...]
    message: str


_FOREIGN = (
    _Foreign(
        ("pytorch_model.bin",),
        "holds pickled weights ({files}), which can run code when opened: convert them with "
        "{convert_one}",
    ),
    _Foreign(
        ("pytorch_model*.bin", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl"),
        "holds pickled weights ({files}), which can run code when opened: convert them with "
        "{convert_all}",
    ),
    _Foreign(("*.h5", "tf_model*"), "holds TensorFlow weights ({files}) only: {saved}"),
    _Foreign(("*.msgpack",), "holds Flax weights ({files}) only: {saved}"),
    _Foreign(("*.gguf",), "holds GGUF weights ({files}) only: {saved}"),
    _Foreign(
        ("*.safetensors",),
        "has no model.safetensors, but {files}: save the model with save_pretrained",
    ),
    _Foreign(("*.onnx",), "holds an ONNX graph ({files}) and no weights: {saved}"),
)
_SAVED = "give a folder with model.safetensors, as transformers' save_pretrained writes it"


def weight_files(
    folder: Path, config: Mapping[str, Any] | None = None, repo: str = ""
) -> tuple[Path, ...]:
    """The safetensors files of a folder, each with a sound header.

    Args:
        folder: Where they lie.
        config: Contents of config.json, to name the class that converts other formats.
        repo: Id of the hub repository the folder is a part of, if it is one.

    Raises:
        UnsupportedModel: There are none, one is damaged, or a shard is missing.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        paths: tuple[Path, ...] = (single,)
    elif index.exists():
        paths = _shards(folder, index)
    else:
        names = (
            hub_names(repo, folder.name)
            if repo
            else sorted(entry.name for entry in folder.iterdir())
        )
        raise UnsupportedModel(_no_weights(folder, config or {}, names))
    for path in paths:
        _check_header(path)
    return paths


def _shards(folder: Path, index: Path) -> tuple[Path, ...]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnsupportedModel(f"{index} has no weight_map")
    names = sorted(set(map(str, weight_map.values())))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise UnsupportedModel(f"{index} reaches outside its folder: {', '.join(outside)}")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise UnsupportedModel(
            f"{folder} lacks {len(missing)} of {len(names)} weight files: {', '.join(missing)}"
        )
    return tuple(folder / name for name in names)


def _check_header(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        # Opening reads the header, and checks that it covers the file to its last byte.
        with safe_open(path, framework="np") as file:
            empty = not list(file.keys())
    except (SafetensorError, OSError) as exc:
        raise UnsupportedModel(
            f"{path} is damaged or cut short: {first_line(exc)}; copy or download it again"
        ) from exc
    if empty:
        raise UnsupportedModel(f"{path} holds no weights")


def _no_weights(folder: Path, config: Mapping[str, Any], names: Sequence[str]) -> str:
    for row in _FOREIGN:
        found = [n for n in names if any(fnmatch.fnmatch(n, p) for p in row.patterns)]
        found = [n for n in found if not n.startswith("training_args")]
        if found:
            told = row.message.format(
                files=", ".join(found[:3]) + (", ..." if len(found) > 3 else ""),
                convert_one=_convert_one(folder / found[0]),
                convert_all=_convert_all(folder, config),
                saved=_SAVED,
            )
            return f"{folder} {told}"
    return f"{folder} holds no weights: {_SAVED}"


def _convert_one(path: Path) -> str:
    code = (
        "import torch; from safetensors.torch import save_file; "
        f"w = torch.load({str(path)!r}, map_location='cpu', weights_only=True); "
        "save_file({k: v.clone().contiguous() for k, v in w.items()}, "
        f"{str(path.with_name('model.safetensors'))!r}, metadata={{'format': 'pt'}})"
    )
    return f"python -c {shlex.quote(code)}"


def _convert_all(folder: Path, config: Mapping[str, Any]) -> str:
    architecture = next(iter(config.get("architectures") or ()), "AutoModel")
    code = (
        f"import transformers as t; p = {str(folder)!r}; "
        f"t.{architecture}.from_pretrained(p).save_pretrained(p)"
    )
    return f"python -c {shlex.quote(code)}"
