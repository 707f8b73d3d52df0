"""How a bundle's tokenizer is used; read with the manifest, before numpy or a tokenizer is."""

from collections.abc import Mapping
from dataclasses import field

from edge_tx.errors import InvalidConfig
from edge_tx.light import dataclass

__all__ = ["TokenizerPolicy"]


@dataclass(frozen=True, slots=True)
class TokenizerPolicy:
    """What a tokenizer file does not say, or says wrongly, about feeding the model.

    Truncation and padding inside ``tokenizer.json`` are left-overs of training; both are
    cleared, and this record counts.

    Attributes:
        max_length: Most tokens in one row, special tokens included.
        inputs: The graph's inputs in order, e.g. ``("input_ids", "attention_mask")``.
        pad_id: Token id that fills a row up.
        pad_type_id: Token type id that fills a row up.
        padding_side: ``"right"`` or ``"left"``, as the model was trained. Rows are padded on the
            right in any case; a question goes behind its context where this is ``"left"``.
        truncation_side: End of a long text that is cut, ``"right"`` or ``"left"``.
        special: Ids of special tokens by role: ``cls``, ``sep``, ``mask``, ``unk``, ``pad``,
            ``bos``, ``eos``; a role the tokenizer lacks is absent.
        clean_up_spaces: Whether decoded text loses the spaces before punctuation
            (transformers' ``clean_up_tokenization_spaces``, which it honours for all but BPE).
    """

    max_length: int
    inputs: tuple[str, ...]
    pad_id: int = 0
    pad_type_id: int = 0
    padding_side: str = "right"
    truncation_side: str = "right"
    special: Mapping[str, int] = field(default_factory=dict)
    clean_up_spaces: bool = False

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise InvalidConfig(f"max_length must be 1 or more, not {self.max_length}")
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in ("left", "right"):
                raise InvalidConfig(f"{name} must be left or right, not {getattr(self, name)!r}")
