"""Where a checkpoint lies: a local folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from edge_tx.errors import EdgeTxError, InvalidConfig, UnsupportedModel
from edge_tx.exporters.files import first_line

__all__ = ["hub_names", "locate"]

# A repository may hold many gigabytes of other formats: fetch what is read, and no more.
_FETCHED = ("*.json", "*.txt", "*.model", "model*.safetensors", "*/model*.safetensors")
_NOT_FETCHED = ("onnx/*", "openvino/*", "*.onnx", "checkpoint-*", "runs/*")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def locate(model: str | Path, revision: str | None) -> tuple[Path, str]:
    """Finds a local folder, or fetches a hub repository.

    Returns:
        The folder, and the commit of the repository; empty for a local folder.

    Raises:
        InvalidConfig: There is no such folder, repository or revision.
        UnsupportedModel: It cannot be fetched.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if revision is not None:
            raise InvalidConfig(f"{path} is a local folder: it has no revision '{revision}'")
        return path, ""
    if path.exists():
        raise InvalidConfig(f"{path} is a file: give the folder with its config.json")
    if isinstance(model, Path) or _means_a_folder(model):
        raise InvalidConfig(f"there is no folder {path}{_near(path)}")
    folder = _fetch(model, revision, path)
    return folder, folder.name


def _means_a_folder(model: str) -> bool:
    """Whether a string that is no folder was meant as one, and not as a hub id."""
    if _HUB_ID.fullmatch(model) is None or model.startswith("."):
        return True
    return "/" in model and Path(model).parent.is_dir()


def _near(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    match = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean {path.parent / match[0]}?" if match else ""


def _fetch(repo: str, revision: str | None, path: Path) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=list(_FETCHED),
            ignore_patterns=list(_NOT_FETCHED),
        )
    except Exception as exc:  # vendors' errors of many kinds become ours here
        raise _hub_error(repo, revision, path, exc) from exc
    return Path(folder)


def _hub_error(repo: str, revision: str | None, path: Path, exc: Exception) -> EdgeTxError:
    from huggingface_hub import errors

    at = f"'{repo}'"
    no_folder = f"there is no folder {at} here{_near(path)}, and"
    rows: tuple[tuple[type[Exception], type[EdgeTxError], str], ...] = (
        (
            errors.GatedRepoError,
            UnsupportedModel,
            f"{at} is gated: accept its licence on the hub, then run 'hf auth login'",
        ),
        (
            errors.RepositoryNotFoundError,
            InvalidConfig,
            f"{no_folder} the hub has no public model of that name ('hf auth login' for private)",
        ),
        (errors.RevisionNotFoundError, InvalidConfig, f"{at} has no revision '{revision}'"),
        (errors.HFValidationError, InvalidConfig, f"{no_folder} it is no hub id: {exc}"),
        (
            errors.HfHubHTTPError,
            UnsupportedModel,
            f"the hub refused {at}: {first_line(exc)}; try again, or give a local folder",
        ),
    )
    for kind, error, message in rows:
        if isinstance(exc, kind):
            return error(message)
    return UnsupportedModel(
        f"{no_folder} the hub cannot be reached ({type(exc).__name__}): go online, or copy the "
        "model's folder here and give its path"
    )


def hub_names(repo: str, revision: str) -> list[str]:
    """Names of all the files in a hub repository, of which only some were fetched.

    Raises:
        UnsupportedModel: The hub cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        return list(HfApi().list_repo_files(repo, revision=revision))
    except Exception as exc:  # as above
        raise _hub_error(repo, revision, Path(repo), exc) from exc
