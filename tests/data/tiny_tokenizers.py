"""Real tokenizers of every kind, trained on the spot on a small text in about 20 languages."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("corpus.txt")
VOCABULARY = 700
Build = Callable[[Mapping[str, Any]], Any]


def corpus() -> list[str]:
    """The sentences that the tokenizers are trained on, in about 20 languages."""
    return CORPUS.read_text(encoding="utf-8").splitlines()


@cache
def _wordpiece(special: tuple[str, ...], lowercase: bool) -> dict[str, int]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=list(special), show_progress=False
    )
    tok.train_from_iterator(corpus(), trainer)
    # The trainer numbers pieces by a hash map's order: sort them, or runs would differ.
    pieces = sorted(set(tok.get_vocab()) - set(special))
    return {piece: index for index, piece in enumerate([*special, *pieces])}


@cache
def _byte_bpe(special: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(corpus(), trainer)
    model = json.loads(tok.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


@cache
def sentencepiece_model() -> bytes:
    """A Unigram SentencePiece model of the corpus, with NFKC normalisation."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(corpus()),
        model_writer=out,
        vocab_size=VOCABULARY,
        model_type="unigram",
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,  # the corpus is small: take the pieces there are
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


@cache
def _unigram() -> tuple[tuple[tuple[str, float], ...], bytes]:
    """Pieces with their scores, control pieces left out, and the normaliser's table."""
    from sentencepiece import sentencepiece_model_pb2

    protocol: Any = sentencepiece_model_pb2  # its classes are made when it is imported
    proto = protocol.ModelProto.FromString(sentencepiece_model())
    pieces = tuple((p.piece, float(p.score)) for p in proto.pieces if p.type == p.NORMAL)
    return pieces, proto.normalizer_spec.precompiled_charsmap


def bert_like(name: str, special: tuple[str, ...], lowercase: bool = True) -> Build:
    def build(options: Mapping[str, Any]) -> Any:
        import transformers

        vocab = _wordpiece(special, bool(options.get("do_lower_case", lowercase)))
        kwargs = {"do_lower_case": lowercase, **options}
        return getattr(transformers, name)(vocab=dict(vocab), **kwargs)

    return build


def roberta(options: Mapping[str, Any]) -> Any:
    from transformers import RobertaTokenizer

    vocab, merges = _byte_bpe(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    return RobertaTokenizer(vocab=dict(vocab), merges=list(merges), **options)


def modernbert(options: Mapping[str, Any]) -> Any:
    from tokenizers import AddedToken as Added
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab, merges = _byte_bpe(("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"))
    tok = Tokenizer(models.BPE(vocab=dict(vocab), merges=list(merges)))
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("unk", "cls", "sep", "pad")}
    return PreTrainedTokenizerFast(
        tokenizer_object=tok,
        **roles,
        mask_token=Added("[MASK]", lstrip=True, special=True),
        model_input_names=["input_ids", "attention_mask"],
        **options,
    )


def sentencepiece_like(
    name: str, special: Sequence[tuple[str, float]], tail: Sequence[str] = (), charsmap: bool = True
) -> Build:
    def build(options: Mapping[str, Any]) -> Any:
        import transformers

        pieces, table = _unigram()
        vocab = [*special, *pieces, *((token, 0.0) for token in tail)]
        extra = {"_spm_precompiled_charsmap": table} if charsmap else {}
        return getattr(transformers, name)(vocab=vocab, **extra, **options)

    return build
