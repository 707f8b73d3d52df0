"""Records the answers of the question-answering pipeline, which transformers 5 no longer has.

Run in an environment of its own, from anywhere::

    python -m venv venv4
    venv4/bin/pip install "transformers==4.57.*" torch numpy
    venv4/bin/python tests/data/qa_oracle/make.py

It writes a tiny random BERT (``model/``) and ``answers.json`` beside itself: for each case the
question, the context, the pipeline's options, and its answers or the name of its error.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model"
SEED = 20

PLAIN = (
    "The Amazon rainforest covers much of the Amazon basin of South America. The basin has "
    "seven million square kilometres, of which five and a half million are rainforest. Nine "
    "nations have part of it: most is in Brazil with 60%, then Peru with 13% and Colombia."
)
LONG = " ".join(
    f"In {1900 + i} the town of Place{i} had {i * 37} people, and a mill." for i in range(60)
)
CONTEXTS = {
    "plain": PLAIN,
    "one word": "Brazil",
    "two words": "in Brazil",
    "repeated": "Berlin or berlin or BERLIN, never Bonn. " * 4,
    "long": LONG,
    "long without spaces": "abc" * 300,
    "whitespace": " \t\n  ",
    "newlines": "First line.\nSecond\tline.\r\n\r\nThird\x0bline ends here.",
    "emoji": "The family 👨‍👩‍👧‍👦 flew 🇩🇪 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿 flags 👍🏽 in 2019.",
    "cjk": "东京是日本的首都，人口约一千四百万。富士山在西边。",
    "right to left": "عاصمة مصر هي القاهرة، وتقع على نهر النيل. ירושלים היא עיר.",
    "combining": "Cafe\u0301 Zu\u0308rich hat n\u0303 und a\u0323\u0302 Zeichen im Jahr 1999.",
    "nul": "before\x00after and \x00\x00 the end",
    "controls": "a\x01b\x02c \x7f\x1b[31m red \u200b zero \u202e turned",
    "byte order mark": "\ufeffThe file begins with a mark.",
    "special tokens": "The token [SEP] ends and [CLS] begins, while [MASK] hides.",
    "mixed": "Пётр visited 東京 in 1998 and said «привет», then नमस्ते and hello.",
    "empty": "",
}
QUESTIONS = {
    "plain": "Which nation has most of it?",
    "whitespace": "  ",
    "special": "What does [CLS] do?",
    "emoji": "Who 👨‍👩‍👧 flew?",
    "long": "Where " + "in the wide world " * 14 + "is it?",
    "empty": "",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "n best": {"top_k": 5},
    "n best tokens": {"top_k": 4, "align_to_words": False},
    "impossible": {"handle_impossible_answer": True, "top_k": 3},
    "impossible best": {"handle_impossible_answer": True},
    "short answers": {"max_answer_len": 1, "top_k": 3},
    "long answers": {"max_answer_len": 60, "top_k": 3},
    "windows": {"max_seq_len": 48, "doc_stride": 8, "top_k": 5},
    "windows impossible": {
        "max_seq_len": 40, "doc_stride": 20, "top_k": 4, "handle_impossible_answer": True,
    },
}  # fmt: skip


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every context with every option, and every question with the plain context."""
    for context in CONTEXTS.values():
        for options in OPTIONS.values():
            yield QUESTIONS["plain"], context, options
    for question in QUESTIONS.values():
        for name in ("default", "n best", "impossible", "windows"):
            yield question, PLAIN, OPTIONS[name]


def build_model() -> None:
    """Writes a random BERT whose logits differ much between tokens."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = [*CONTEXTS.values(), *QUESTIONS.values()]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tok.train_from_iterator(texts, trainer)
    words = [*special, *sorted(set(tok.get_vocab()) - set(special))]
    shutil.rmtree(MODEL, ignore_errors=True)
    MODEL.mkdir()
    vocab = MODEL / "vocab.txt"
    vocab.write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(vocab), model_max_length=128).save_pretrained(MODEL)
    vocab.unlink()

    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=128, initializer_range=0.35,
    )  # fmt: skip
    BertForQuestionAnswering(config).eval().save_pretrained(MODEL)


def record() -> None:
    """Writes what the pipeline answers."""
    import transformers
    from transformers import pipeline

    answerer = pipeline("question-answering", model=str(MODEL), device="cpu")
    rows: list[dict[str, Any]] = []
    for question, context, options in cases():
        row: dict[str, Any] = {"question": question, "context": context, "options": options}
        try:
            found = answerer(question=question, context=context, **options)
            row["answers"] = found if isinstance(found, list) else [found]
        except BaseException as exc:  # noqa: BLE001 - the Rust side panics past Exception
            row["error"] = type(exc).__name__
        rows.append(row)
    head = {"transformers": transformers.__version__, "cases": rows}
    text = json.dumps(head, indent=0, ensure_ascii=True)
    (HERE / "answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    build_model()
    record()
