"""The transformer of a checkpoint: the class of the task, every weight there, in fp32.

Imports torch and transformers: reach it from inside functions only.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import transformers
from optimum.exporters.tasks import TasksManager
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from edge_tx.errors import InvalidConfig, UnknownName, UnsupportedModel
from edge_tx.exporters.checkpoint import Checkpoint
from edge_tx.exporters.heads import HEADS
from edge_tx.exporters.pruned import fitted

__all__ = ["ATTENTION", "length_trained", "load_network", "position_limit", "without_bars"]

ATTENTION = ("eager", "sdpa")

# Weights of a layer, which answers depend on; not those of another head, nor what old versions
# saved although it can be computed.
_IN_A_LAYER = re.compile(r"(^|\.)layers?\.\d+\.(?!.*(position_ids|inv_freq)$)")

# Encoders whose graphs no route exports right at other shapes than the one traced.
_INEXACT = {
    "convbert": "its convolution reads the padding, so that answers depend on the batch",
    "big_bird": "its block-sparse attention depends on the length; set attention_type to "
    "original_full in config.json",
    "longformer": "its sliding windows depend on the length",
    "reformer": "its hashed attention depends on random numbers",
}


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Keeps transformers' own warnings and progress bars off stderr: what matters is raised."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_network(checkpoint: Checkpoint, task: str, attention: str | None) -> torch.nn.Module:
    """Loads the transformer with the head of a task.

    Args:
        checkpoint: Where from.
        task: Name of the task.
        attention: One of :data:`ATTENTION`; None for the model's own default.

    Returns:
        A model of transformers, in eval mode, fp32, without gradients.

    Raises:
        UnsupportedModel: The architecture cannot be exported, or weights are missing or of the
            wrong shape; all of them are named.
        InvalidConfig: The model does not have that attention.
    """
    config = _load_config(checkpoint)
    _check_architecture(checkpoint, config)
    auto = TasksManager.get_model_class_for_task(HEADS[task].auto, library="transformers")
    kind = _concrete_class(checkpoint, auto, config, task)
    options = _options(kind, attention)
    model, info = _from_pretrained(checkpoint, fitted(kind, config), config, options)
    _check_weights(checkpoint, kind, info)
    model.eval()
    model.requires_grad_(False)
    return model


def position_limit(model: torch.nn.Module) -> int | None:
    """Most tokens that a model has positions for; None if its positions have no end.

    A table of learned positions tells best: RoBERTa and its kin number tokens from
    ``padding_idx + 1``, which leaves 512 of 514 rows, and they alone keep a ``padding_idx``
    beside the table.
    """
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):
            pad = getattr(module, "padding_idx", None)
            return int(table.num_embeddings) - (pad + 1 if isinstance(pad, int) else 0)
    return None if _is_relative(model.config) else length_trained(model)


def length_trained(model: torch.nn.Module) -> int | None:
    """Most tokens that the config speaks of; None if it does not."""
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def _is_relative(config: Any) -> bool:
    """Whether positions are distances, or angles: they go on behind the length of training."""
    rotary = getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None)
    return bool(rotary or getattr(config, "relative_attention", False))


def _load_config(checkpoint: Checkpoint) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(checkpoint.transformer)
    except Exception as exc:  # transformers raises of every kind here
        if checkpoint.model_type not in transformers.CONFIG_MAPPING:
            raise UnsupportedModel(
                f"{checkpoint.name} is a {checkpoint.model_type}, which transformers "
                f"{transformers.__version__} does not know"
            ) from exc
        raise UnsupportedModel(
            f"{checkpoint.transformer / 'config.json'} is not a sound {checkpoint.model_type} "
            f"config: {_one_line(exc)}"
        ) from exc


def _check_architecture(checkpoint: Checkpoint, config: Any) -> None:
    kind = checkpoint.model_type
    reason = None
    if getattr(config, "is_encoder_decoder", False):
        reason = "an encoder-decoder"
    elif getattr(config, "is_decoder", False) or (
        kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    ):
        reason = "a decoder"
    elif kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        reason = "not a text encoder"
    if reason is not None:
        raise UnsupportedModel(
            f"{checkpoint.name} is a {kind}, {reason}; text encoders (BERT and its kin) can be "
            "exported"
        )
    if kind in _INEXACT and getattr(config, "attention_type", "") != "original_full":
        raise UnsupportedModel(
            f"{checkpoint.name} is a {kind}, whose graph would be wrong: {_INEXACT[kind]}"
        )


def _concrete_class(checkpoint: Checkpoint, auto: Any, config: Any, task: str) -> Any:
    mapping = auto._model_mapping
    if type(config) not in mapping:
        raise UnsupportedModel(
            f"{checkpoint.name} is a {checkpoint.model_type}, for which transformers has no "
            f"{task} model"
        )
    kind = mapping[type(config)]
    kinds: Sequence[Any] = kind if isinstance(kind, tuple) else (kind,)
    named = [k for k in kinds if k.__name__ in checkpoint.architectures]
    return (named or list(kinds))[0]


def _options(kind: Any, attention: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if attention is not None:
        if attention not in ATTENTION:
            raise UnknownName("attention", attention, ATTENTION)
        if attention == "sdpa" and not kind._supports_sdpa:
            raise InvalidConfig(f"{kind.__name__} has no sdpa attention: use eager")
        options["attn_implementation"] = attention
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        # Nothing reads the pooler of a model without a head, and many checkpoints lack it.
        options["add_pooling_layer"] = False
    return options


def _from_pretrained(
    checkpoint: Checkpoint, kind: Any, config: Any, options: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    try:
        model, info = kind.from_pretrained(
            checkpoint.transformer,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that all of them are reported, by _check_weights
            **options,
        )
    except Exception as exc:  # transformers raises of every kind here
        raise UnsupportedModel(
            f"transformers cannot load {checkpoint.name} as {kind.__name__}: {_one_line(exc)}"
        ) from exc
    return model, info


def _check_weights(checkpoint: Checkpoint, kind: Any, info: Mapping[str, Any]) -> None:
    problems = []
    missing = sorted(map(str, info["missing_keys"]))
    if missing:
        problems.append(f"has no weights for {', '.join(missing)}")
    for name, stored, wanted in sorted(info["mismatched_keys"]):
        problems.append(f"{name} is {list(stored)} where config.json asks for {list(wanted)}")
    unknown = sorted(k for k in map(str, info["unexpected_keys"]) if _IN_A_LAYER.search(k))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        problems.append(f"has weights that the class leaves out: {', '.join(unknown[:3])}{more}")
    problems += map(str, info.get("error_msgs") or ())
    if problems:
        raise UnsupportedModel(
            f"{checkpoint.name} is not a whole {kind.__name__}: {'; '.join(problems)}"
        )


def _one_line(exc: BaseException) -> str:
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text if len(text) <= 300 else f"{text[:300]}..."
