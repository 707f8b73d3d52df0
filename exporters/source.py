"""A checkpoint becomes a :class:`~edge_tx.exporters.traced.Traced`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_tx.errors import MissingDependency
from edge_tx.exporters.checkpoint import Checkpoint, open_checkpoint
from edge_tx.exporters.files import sha256_of
from edge_tx.exporters.quiet import quiet
from edge_tx.exporters.settings import read_settings
from edge_tx.exporters.task_inference import infer
from edge_tx.exporters.traced import Traced
from edge_tx.manifest import Source

if TYPE_CHECKING:
    import torch

    from edge_tx.exporters.sentence import Stage

__all__ = ["load"]

_NEEDED = ("torch", "transformers", "optimum", "safetensors")
_INSTALL = "pip install 'edge-tx[export]'"


def load(
    model: str | Path,
    *,
    task: str | None = None,
    revision: str | None = None,
    max_length: int | None = None,
    attention: str | None = None,
) -> Traced:
    """Loads a checkpoint, ready to be exported.

    Args:
        model: A local folder, or the id of a hub repository.
        task: Name or synonym of a task; inferred if not given.
        revision: Branch, tag or commit of a hub repository.
        max_length: Most tokens in a row, special tokens included; the checkpoint's own limit
            if not given.
        attention: ``"eager"`` or ``"sdpa"``; the model's own default (sdpa where it has it) if
            not given.

    Returns:
        The module in fp32 whatever the weights are stored in, and all that goes with it.

    Raises:
        InvalidConfig: There is no such model, or an option does not fit it.
        UnknownName: There is no such task or attention.
        UnsupportedModel: The checkpoint is damaged, incomplete, or cannot be exported.
        MissingDependency: The ``export`` extra is not installed.
    """
    _require()
    checkpoint = open_checkpoint(model, revision)
    name = infer(checkpoint, task)
    settings = read_settings(checkpoint, name)

    with quiet():  # packages that transformers imports where they are installed chat already then
        from edge_tx.exporters.heads import inputs_of, outputs_of
        from edge_tx.exporters.network import load_network, without_bars
        from edge_tx.exporters.sentence import read_stages, read_transformer_settings
        from edge_tx.exporters.tokenization import load_tokenizer, read_policy, tokenizer_json

    own = read_transformer_settings(checkpoint)
    stages = read_stages(checkpoint) if name == "sentence-embedding" else ()
    with quiet(), without_bars():
        tokenizer = load_tokenizer(checkpoint)
        network = load_network(checkpoint, name, attention)
    policy = read_policy(checkpoint, tokenizer, network, name, own, max_length)
    module = _wrap(network, name, stages)
    return Traced(
        module=module,
        inputs=inputs_of(policy.inputs),
        outputs=outputs_of(module, name, len(policy.inputs)),
        task=name,
        settings=settings,
        policy=policy,
        tokenizer_json=tokenizer_json(tokenizer, own),
        source=_source(checkpoint, module, network, stages),
    )


# What a config says that changes no output of a head without labels, or says how it was saved.
_REMARKS = frozenset(
    {
        "architectures",
        "dtype",
        "finetuning_task",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "sentence_transformers",
        "task_specific_params",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)


def _config_sha256(network: Any) -> str:
    """Hashes what a config says of the network, but what is its class's default."""
    said = network.config.to_diff_dict()
    kept = {k: v for k, v in said.items() if k not in _REMARKS and not k.startswith("_")}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _require() -> None:
    for package in _NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(package, "exporting a checkpoint", _INSTALL)


def _wrap(network: torch.nn.Module, task: str, stages: tuple[Stage, ...]) -> torch.nn.Module:
    from edge_tx.exporters.heads import HEADS, SentenceModule, TaskModule

    module: torch.nn.Module
    if stages:
        module = SentenceModule(network, [stage.module for stage in stages])
    else:
        module = TaskModule(network, HEADS[task].outputs)
    # The wrapper too: an exporter puts its training flag back afterwards, and with it switches
    # the dropout of everything inside on.
    module.eval()
    module.requires_grad_(False)
    return module


def _source(
    checkpoint: Checkpoint,
    module: torch.nn.Module,
    network: torch.nn.Module,
    stages: tuple[Stage, ...],
) -> Source:
    files = [*checkpoint.weights, *(path for stage in stages for path in stage.weights)]
    return Source(
        name=checkpoint.name,
        sha256=sha256_of(files),
        config=_config_sha256(network),
        model_type=checkpoint.model_type,
        architecture=type(network).__name__,
        revision=checkpoint.revision,
        modules=tuple(stage.name for stage in stages),
        parameters=sum(weight.numel() for weight in module.parameters()),
    )
