"""Folders and hub ids that hold no checkpoint, or a damaged one."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors as hub
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_tx.errors import EdgeTxError, InvalidConfig, UnsupportedModel
from edge_tx.exporters.checkpoint import open_checkpoint
from edge_tx.exporters.files import sha256_of
from edge_tx.exporters.weights import weight_files


@pytest.fixture
def folder(tiny_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A sound checkpoint that may be damaged."""
    return Path(shutil.copytree(tiny_model("bert", "fill-mask"), tmp_path / "model"))


def refused(model: str | Path, kind: type[EdgeTxError] = UnsupportedModel) -> str:
    """The one line that tells why a checkpoint is refused."""
    with pytest.raises(kind) as caught:
        open_checkpoint(model)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_sound_folder(folder: Path) -> None:
    found = open_checkpoint(folder)
    assert found.name == folder.name
    assert found.transformer == found.folder == folder
    assert found.revision == ""
    assert found.model_type == "bert"
    assert found.architectures == ("BertForMaskedLM",)
    assert found.weights == (folder / "model.safetensors",)
    assert found.modules == ()


def test_hash_is_that_of_the_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"one" * 1_000_000)
    second.write_bytes(b"two")
    assert sha256_of([first]) == hashlib.sha256(first.read_bytes()).hexdigest()
    whole = first.read_bytes() + second.read_bytes()
    assert sha256_of([first, second]) == hashlib.sha256(whole).hexdigest()


# ------------------------------------------------------------------------------------- where


def test_a_missing_folder_suggests_the_near_one(folder: Path) -> None:
    message = refused(folder.with_name("modle"), InvalidConfig)
    assert message == f"there is no folder {folder.with_name('modle')}; did you mean {folder}?"
    assert "did you mean" not in refused(str(folder.with_name("xyz")), InvalidConfig)


@pytest.mark.parametrize("name", ["./nothing", "~/nothing-here", "/nothing/at/all", "a/b/c", "a b"])
def test_paths_never_reach_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", pytest.fail)
    assert "there is no folder" in refused(name, InvalidConfig)


def test_a_file_is_no_folder(folder: Path) -> None:
    message = refused(folder / "config.json", InvalidConfig)
    assert "is a file: give the folder" in message


def test_a_local_folder_has_no_revision(folder: Path) -> None:
    with pytest.raises(InvalidConfig, match="no revision 'main'"):
        open_checkpoint(folder, revision="main")


def _http(kind: type[Exception]) -> Exception:
    """An error as the hub's client makes it, without the response that nobody reads here."""
    error = kind.__new__(kind)
    Exception.__init__(error, "from the hub\nwith a second line")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (_http(hub.GatedRepoError), UnsupportedModel, "is gated: accept its licence"),
        (_http(hub.RepositoryNotFoundError), InvalidConfig, "has no public model of that name"),
        (_http(hub.RevisionNotFoundError), InvalidConfig, "has no revision 'v9'"),
        (_http(hub.HfHubHTTPError), UnsupportedModel, "the hub refused"),
        (hub.LocalEntryNotFoundError("offline"), UnsupportedModel, "cannot be reached"),
        (hub.OfflineModeIsEnabled("offline"), UnsupportedModel, "cannot be reached"),
        (ConnectionError("refused"), UnsupportedModel, "cannot be reached"),
        (TimeoutError(), UnsupportedModel, "cannot be reached"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_the_hub_refuses(
    error: Exception,
    kind: type[EdgeTxError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(kind, match=message) as caught:
        open_checkpoint("someone/some-model", revision="v9")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_fetched_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = folder.rename(folder.with_name("0123abc"))
    asked: dict[str, Any] = {}

    def fetch(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        return str(commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    found = open_checkpoint("someone/some-model", revision="main")
    assert (found.name, found.revision) == ("someone/some-model", "0123abc")
    assert (asked["repo"], asked["revision"]) == ("someone/some-model", "main")
    assert not any("bin" in pattern for pattern in asked["allow_patterns"])


def test_a_repository_with_pickled_weights_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: str(folder))
    names = ["config.json", "pytorch_model.bin"]
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *a, **k: names)
    assert "holds pickled weights (pytorch_model.bin)" in refused("someone/some-model")


# ------------------------------------------------------------------------------------- config


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds a list, not an object"),
        ("{}", "has no model_type"),
        ('{"model_type": 7}', "has no model_type"),
        ('{"model_type": "bert", "auto_map": {"AutoModel": "m.M"}}', "code from the checkpoint"),
        ('{"model_type": "bert", "quantization_config": {"bits": 4}}', "quantised already"),
    ],
)
def test_bad_configs(contents: str, message: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(contents.encode("latin-1"))
    assert message in refused(folder)


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "config.json is missing" in refused(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert "PEFT adapter: merge it" in refused(folder)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("{}", "not a list of modules"),
        ("[]", "not a list of modules"),
        ('[{"path": ""}]', "without a type"),
        ("[7]", "without a type"),
        ('[{"type": "x.Y", "path": "../.."}]', "reaches outside"),
        ('[{"type": "x.Y", "path": "/etc"}]', "reaches outside"),
    ],
)
def test_bad_modules(contents: str, message: str, folder: Path) -> None:
    (folder / "modules.json").write_text(contents)
    assert message in refused(folder)


@settings(max_examples=60, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "path", "model_type", "weight_map", "architectures", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
    name=st.sampled_from(["config.json", "modules.json", "model.safetensors.index.json"]),
)
def test_any_json_is_read_or_refused(
    value: Any, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("any")
    (place / "config.json").write_text('{"model_type": "bert"}')
    (place / name).write_text(json.dumps(value))
    with pytest.raises(EdgeTxError):
        open_checkpoint(place)


# ------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytorch_model-00001-of-00002.bin", "t.BertForMaskedLM.from_pretrained"),
        ("epoch3.ckpt", "holds pickled weights (epoch3.ckpt)"),
        ("weights.pt", "holds pickled weights (weights.pt)"),
        ("tf_model.h5", "holds TensorFlow weights (tf_model.h5) only"),
        ("flax_model.msgpack", "holds Flax weights (flax_model.msgpack) only"),
        ("model-q4.gguf", "holds GGUF weights (model-q4.gguf) only"),
        ("weights.safetensors", "has no model.safetensors, but weights.safetensors"),
        ("model.onnx", "holds an ONNX graph (model.onnx)"),
        ("training_args.bin", "holds no weights: give a folder with model.safetensors"),
    ],
)
def test_other_formats_are_named(name: str, message: str, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"")
    assert message in refused(folder)


def test_the_conversion_command_converts(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    quoted = folder.rename(folder.with_name("it's a model"))
    weights = load_file(quoted / "model.safetensors")
    shared = weights["bert.embeddings.word_embeddings.weight"]
    weights["cls.predictions.decoder.weight"] = shared  # tied, as pickles store it
    torch.save(weights, quoted / "pytorch_model.bin")
    (quoted / "model.safetensors").unlink()
    message = refused(quoted)
    assert "which can run code when opened" in message
    program, *arguments = shlex.split(message.partition("convert them with ")[2])
    assert program == "python"
    subprocess.run([sys.executable, *arguments], check=True, timeout=200)
    assert open_checkpoint(quoted).weights == (quoted / "model.safetensors",)
    assert load_file(quoted / "model.safetensors").keys() == weights.keys()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[: len(data) // 2],
        lambda data: data[:4],
        lambda data: b"",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"!" + data[9:],
        lambda data: b"version https://git-lfs.github.com/spec/v1\n",
    ],
    ids=["short", "long", "half", "stub", "empty", "huge-header", "bad-header", "lfs-pointer"],
)
def test_damaged_weights(damage: Callable[[bytes], bytes], folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert f"{path} is damaged or cut short" in refused(folder)


def test_weights_without_a_tensor(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(UnsupportedModel, match="holds no weights"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}, "lacks 2 of 2"),
        ({"weight_map": {"a": "../one.safetensors"}}, "reaches outside"),
        ({"weight_map": {}}, "has no weight_map"),
        ({}, "has no weight_map"),
    ],
)
def test_bad_indices(index: dict[str, Any], message: str, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert message in refused(folder)
