from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.normalizers import BertNormalizer

from edge_tx.runtimes.mediapipe_text import prepare

UNCASED = BertNormalizer(lowercase=True)
CASED = BertNormalizer(lowercase=False, strip_accents=False)

# Marks that Unicode 9 and 14 made another kind of: the two tables may be of either side.
RECLASSIFIED = set("\u1734\u1885\u1886")

# Characters that every Unicode table in use knows alike.
OLD = [
    chr(code)
    for code in range(0x30000)
    if not 0xD800 <= code < 0xE000
    and unicodedata.ucd_3_2_0.category(chr(code)) != "Cn"
    and chr(code) not in RECLASSIFIED
]


def test_every_character_is_berts() -> None:
    assert [c for c in OLD if prepare(c) != UNCASED.normalize_str(c)] == []


def test_every_character_is_a_cased_berts() -> None:
    assert [c for c in OLD if prepare(c, lowercase=False) != CASED.normalize_str(c)] == []


@given(st.text(st.sampled_from(OLD), max_size=40))
def test_texts_are_berts(text: str) -> None:
    assert prepare(text) == UNCASED.normalize_str(text)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("Ångström CAFÉ", "angstrom cafe"),
        ("ab\u6771\u4eacc", "ab 東  京 c"),
        ("a\x00b\u200bc\td", "abc d"),
        ("", ""),
    ],
)
def test_examples(text: str, prepared: str) -> None:
    assert prepare(text) == prepared
