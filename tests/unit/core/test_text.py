"""Text to ids: the same as the Rust tokenizer's own truncation, without its cost."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from edge_tx import text as text_module
from edge_tx.errors import BundleCorrupt, InvalidConfig, InvalidInput
from edge_tx.text import Row, Tokenizer, TokenizerPolicy, collate, refuse_surrogates
from edge_tx.truncation import Cut

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def _wordpiece() -> tokenizers.Tokenizer:
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "the",
        "fox",
        ".",
        *letters,
        *("##" + c for c in letters),
    ]
    tok = tokenizers.Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    tok.normalizer = normalizers.BertNormalizer()
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece(cleanup=False)
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tok


def _bytes() -> tokenizers.Tokenizer:
    words = ["<pad>", "<unk>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tok = tokenizers.Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.RobertaProcessing(("</s>", 3), ("<s>", 2), True, False)
    return tok


_MADE = {"wordpiece": _wordpiece(), "bytes": _bytes()}
_POLICY = TokenizerPolicy(max_length=64, inputs=INPUTS)
_OURS = {name: Tokenizer(tok.to_str(), _POLICY) for name, tok in _MADE.items()}

KINDS = pytest.mark.parametrize("kind", _MADE)
_texts = st.text(alphabet=st.sampled_from("abz the fox.,é東🎭\n\t\x00"), max_size=40)


_words = st.lists(
    st.text(alphabet=st.sampled_from("abzthefox.,é東🎭"), min_size=1, max_size=6), min_size=25
).map(" ".join)


def _lists(encoding: Any) -> dict[str, Any]:
    names = ("ids", "type_ids", "offsets", "special_tokens_mask", "sequence_ids", "word_ids")
    return {name: list(getattr(encoding, name)) for name in names}


def _rust(kind: str, max_length: int, **options: Any) -> tokenizers.Tokenizer:
    tok = tokenizers.Tokenizer.from_str(_MADE[kind].to_str())
    tok.enable_truncation(max_length, **options)
    return tok


@KINDS
@settings(max_examples=60, deadline=None)
@given(text=_texts, length=st.integers(5, 20))
def test_a_cut_text_is_what_rust_cuts(kind: str, text: str, length: int) -> None:
    [mine] = _OURS[kind].encode([text], max_length=length)
    assert _lists(mine) == _lists(_rust(kind, length).encode(text))
    whole = _MADE[kind].encode(text)
    dropped = mine.dropped if isinstance(mine, Cut) else 0
    assert len(mine) + dropped == len(whole)


@KINDS
@settings(max_examples=60, deadline=None)
@given(pair=st.tuples(_texts, _texts), length=st.integers(6, 25))
def test_a_cut_pair_is_what_rust_cuts(kind: str, pair: tuple[str, str], length: int) -> None:
    [mine] = _OURS[kind].encode([pair], max_length=length)
    assert _lists(mine) == _lists(_rust(kind, length).encode(*pair))


@KINDS
@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.one_of(_words, st.tuples(_words, _words)), min_size=1, max_size=3),
    length=st.integers(6, 12),
)
def test_of_a_very_long_text_only_the_head_is_encoded(
    kind: str, texts: list[Any], length: int
) -> None:
    whole = _OURS[kind].encode(texts, max_length=length)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(text_module, "_LONG", 60)
        parted = _OURS[kind].encode(texts, max_length=length)
    assert list(map(_lists, parted)) == list(map(_lists, whole))
    counts = [[getattr(e, "dropped", 0) for e in found] for found in (parted, whole)]
    assert counts[0] == counts[1]


def test_a_very_long_text_needs_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tracked: list[int] = []
    tokenizer = Tokenizer(_MADE["wordpiece"].to_str(), _POLICY)
    plain: Any = tokenizer._plain

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(plain, name)

        def encode(self, text: str, **options: Any) -> Any:
            tracked.append(len(text))
            return plain.encode(text, **options)

    monkeypatch.setattr(tokenizer, "_plain", Watched())
    [encoding] = tokenizer.encode(["the fox " * 200_000])
    assert isinstance(encoding, Cut)
    assert (len(encoding), encoding.dropped) == (64, 400_000 - 62)
    assert max(tracked) <= 1 << 18


def test_a_head_of_blanks_is_no_whole_text() -> None:
    text = " " * (1 << 18) + " the fox"
    assert _lists(_OURS["wordpiece"].encode([text])[0]) == _lists(_MADE["wordpiece"].encode(text))


def test_a_surrogate_behind_the_head_is_told() -> None:
    with pytest.raises(InvalidInput, match="lone surrogate"):
        _OURS["wordpiece"].encode(["the fox " * 50_000 + "\ud800"])


@KINDS
@pytest.mark.parametrize("which", ["only_first", "only_second"])
@settings(max_examples=60, deadline=None)
@given(pair=st.tuples(_texts, _texts), length=st.integers(6, 25))
def test_one_of_a_pair_is_cut_as_rust_does(
    kind: str, which: Any, pair: tuple[str, str], length: int
) -> None:
    try:
        expected = _lists(_rust(kind, length, strategy=which).encode(*pair))
    except Exception:  # noqa: BLE001 - the Rust side raises no other
        with pytest.raises(InvalidInput, match="not cut"):
            _OURS[kind].encode([pair], max_length=length, truncation=which)
        return
    [mine] = _OURS[kind].encode([pair], max_length=length, truncation=which)
    assert _lists(mine) == expected


@KINDS
@settings(max_examples=60, deadline=None)
@given(text=_texts, length=st.integers(8, 20), stride=st.integers(0, 3), side=st.booleans())
def test_windows_are_rusts(kind: str, text: str, length: int, stride: int, side: bool) -> None:
    direction = "left" if side else "right"
    ours = Tokenizer(
        _MADE[kind].to_str(),
        TokenizerPolicy(max_length=64, inputs=INPUTS, truncation_side=direction),
    )
    [mine] = ours.encode([text], max_length=length, stride=stride)
    rust = _rust(kind, length, stride=stride, direction=direction).encode(text)
    assert [w.ids for w in (mine, *mine.overflowing)] == [w.ids for w in (rust, *rust.overflowing)]
    if direction == "right":
        assert [_lists(w) for w in mine.overflowing] == [_lists(w) for w in rust.overflowing]


def test_words_of_a_cut_are_found_as_in_rust() -> None:
    pair = ("the fox", "quick brown dog, " * 9)
    [mine] = _OURS["wordpiece"].encode([pair], max_length=30, truncation="only_second")
    rust = _rust("wordpiece", 30, strategy="only_second").encode(*pair)
    assert isinstance(mine, Cut)
    for token in range(len(rust)):
        word = rust.token_to_word(token)
        assert mine.token_to_word(token) == word
        if word is not None:
            for text in (0, 1):
                assert mine.word_to_chars(word, text) == rust.word_to_chars(word, text)


def test_many_lengths_keep_nothing() -> None:
    ours = Tokenizer(_MADE["wordpiece"].to_str(), _POLICY)
    before = set(vars(ours))
    for length in range(4, 64):
        ours.encode(["a b c d e f " * 20], max_length=length)
    assert set(vars(ours)) == before


def test_two_long_texts_of_a_pair_cost_their_sum() -> None:
    long = "the fox " * 20_000  # by windows of both: 400 million encodings
    [mine] = _OURS["bytes"].encode([(long, long)])
    assert isinstance(mine, Cut)
    assert len(mine) == 64
    assert mine.dropped == 2 * len(long) + 4 - 64


def test_threads_with_different_lengths() -> None:
    ours = _OURS["wordpiece"]
    texts = ["the fox " * n for n in range(1, 33)]
    expected = [ours.encode([t], max_length=5 + i)[0].ids for i, t in enumerate(texts)]
    wrong: list[int] = []

    def work(index: int) -> None:
        found = (ours.encode([texts[index]], max_length=5 + index)[0].ids for _ in range(50))
        wrong.extend(index for ids in found if ids != expected[index])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("texts", [["a\ud800b"], ["fine", "a\udfff"], [("a", "b\udc80")]])
def test_a_lone_surrogate_is_one_line(texts: Any) -> None:
    with pytest.raises(InvalidInput, match="lone surrogate") as caught:
        _OURS["wordpiece"].encode(texts)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isascii()


def test_whole_characters_are_no_surrogates() -> None:
    for text in ("", "plain", "é 東 🎭 \uffff \x00", "\U0010ffff"):
        refuse_surrogates(text)


@pytest.mark.parametrize(("length", "message"), [(2, "no room"), (65, "more than the 64")])
def test_impossible_lengths(length: int, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        _OURS["wordpiece"].encode(["a"], max_length=length)


def test_a_stride_must_be_less_than_its_window() -> None:
    with pytest.raises(InvalidInput, match="stride"):
        _OURS["wordpiece"].encode(["a " * 90], max_length=10, stride=8)


@pytest.mark.parametrize("json", ["", "{}", "[]", '{"version": "1.0"}'])
def test_not_a_tokenizer(json: str) -> None:
    with pytest.raises(BundleCorrupt):
        Tokenizer(json, _POLICY)


def test_a_tokenizers_own_truncation_and_padding_do_not_count() -> None:
    tok = _wordpiece()
    tok.enable_truncation(4)
    tok.enable_padding(length=128)
    [encoding] = Tokenizer(tok.to_str(), _POLICY).encode(["a b c d e f"])
    assert len(encoding) == 8


def test_texts_and_pairs_may_be_mixed() -> None:
    one, two = _OURS["wordpiece"].encode(["a b", ("a", "b")])
    assert (one.ids.count(3), two.ids.count(3)) == (1, 2)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding(side: str) -> None:
    policy = TokenizerPolicy(64, INPUTS, pad_id=77, pad_type_id=78, padding_side=side)
    encodings = _OURS["wordpiece"].encode(["a", ("b", "c d")])
    rows = [Row(i, e.ids, e) for i, e in enumerate(encodings)]
    feeds = collate(rows, policy, length=10)
    assert {name: array.shape for name, array in feeds.items()} == dict.fromkeys(INPUTS, (2, 10))
    assert {array.dtype for array in feeds.values()} == {np.dtype(np.int64)}
    for i, row in enumerate(rows):
        assert row.own(feeds["input_ids"][i]).tolist() == row.ids
        assert row.own(feeds["token_type_ids"][i]).tolist() == row.encoding.type_ids
        assert row.own(feeds["attention_mask"][i]).tolist() == [1] * len(row.ids)
        assert feeds["attention_mask"][i].sum() == len(row.ids)
        assert feeds["input_ids"][i].tolist() == row.ids + [77] * (10 - len(row.ids))


@pytest.mark.parametrize(
    ("kind", "clean", "expected"),
    [("wordpiece", False, "a ."), ("wordpiece", True, "a."), ("bytes", True, "a .")],
)
def test_spaces_are_cleaned_up_where_transformers_does(
    kind: str, clean: bool, expected: str
) -> None:
    policy = TokenizerPolicy(64, INPUTS, clean_up_spaces=clean)
    ours = Tokenizer(_MADE[kind].to_str(), policy)
    assert ours.decode(ours.pieces("a .").ids) == expected
