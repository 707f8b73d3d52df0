"""What must be done to a text before MediaPipe's BERT tokenizer sees it.

MediaPipe (TextEmbedder, TextClassifier) splits at spaces and punctuation and looks pieces up in
the vocabulary, but does not normalise as BERT does: accents, capitals and Chinese characters come
out as unknown. :func:`prepare` does that part; it is short on purpose, to be ported to the
language of the app. It is BERT's own normalisation (``BasicTokenizer`` of
https://github.com/google-research/bert/blob/master/tokenization.py), and equals
``tokenizers.normalizers.BertNormalizer`` but for marks that one's Unicode tables do not know yet.
"""

from __future__ import annotations

import unicodedata

__all__ = ["prepare"]

# Unicode blocks of Chinese characters; kana and hangul are written with words and not split.
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_SPACES = "\t\n\r"
_CONTROLS = ("Cc", "Cf", "Co")


def prepare(text: str, *, lowercase: bool = True) -> str:
    """Normalises a text as an uncased BERT does.

    Args:
        text: Any text.
        lowercase: Whether the model is uncased; a cased one keeps capitals and accents.

    Returns:
        The text without control characters, with Chinese characters set apart by spaces, and
        for an uncased model in lower case and without accents.
    """
    spaced = "".join(_spaced(char) for char in text)
    if not lowercase:
        return spaced
    plain = "".join(
        char for char in unicodedata.normalize("NFD", spaced) if unicodedata.category(char) != "Mn"
    )
    return "".join(char.lower() for char in plain)


def _spaced(char: str) -> str:
    code = ord(char)
    if char in _SPACES:
        return " "
    if code == 0xFFFD or unicodedata.category(char) in _CONTROLS:
        return ""
    if char.isspace():
        return " "
    if any(first <= code <= last for first, last in _CHINESE):
        return f" {char} "
    return char
