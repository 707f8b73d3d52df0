"""Strings on which tokenizers inside graphs are known to differ from the real one."""

from __future__ import annotations

from edge_tx.exporters.texts import TEXTS

__all__ = ["HARD", "hard_pairs"]

_STRANGE = (
    "",
    " ",
    "\t\r\n",
    "  leading and trailing  ",
    "no\u00a0break\u2003space\u3000wide",
    "zero\u200bwidth\u200djoiner\ufeffmark",
    "soft\u00adhyphen and line\u2028separator",
    "control\x01\x07\x1b characters\x7f",
    "replacement \ufffd and private \ue000 use",
    "ÀÉÎÕÜ àéîõü Ångström ÆØÅ ß ẞ ŒŁ",
    "İstanbul ISPARTA ıi",
    "ΣΊΣΥΦΟΣ ΟΔΟΣ",
    "e\u0301 n\u0303 o\u0308 A\u030a q\u0307\u0323",
    "\u0301 a lone accent",
    "ﬁne ﬂower ﬃ ½ ² ③ Ⅷ ℃",
    "ＦＵＬＬ width １２３",
    "東京tower 北京2008 日本語と英語mixed",
    "𠀀𪜶 rare and 豈 compatible",
    "ひらがな カタカナ ﾊﾝｶｸ",
    "각각 and 각",
    "नमस्ते क्षत्रिय ज़",
    "শুভ সকাল ড়",
    "السَّلَامُ عَلَيْكُمْ ١٢٣",
    "שָׁלוֹם עֲלֵיכֶם",
    "สวัสดีครับ น้ำ",
    "👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ ☕",
    "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "a [MASK] in the middle, and [mask] small",
    "<s> </s> <mask> <unk> <|endoftext|>",
    "don't won't I'll we've they'd O'Neill's",
    "‘curly’ “quotes” — dash… «guillemets» ¿sí? ¡no!",
    "a-b_c+d=e*f/g\\h|i~j^k`l@m#n$o%p&q",
    "3.14 1,000,000 1e-9 -5 +7 0x1F 50% $9.99 €20",
    "under_score camelCase snake_case kebab-case",
    "...!!!???;;;:::---",
    "word" * 30,
    "x" * 101,
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "https://user:pw@example.org:8080/a/b?c=d&e=%20f#g",
    "##ing ##s # #hash",
    "tab\tnew\nline\rreturn\x0bvertical\x0cform",
    "mixed кириллица latin ελληνικά",
    "math ∑∫√≤≥≠ ∞ × ÷ ± ← → ⇒",
    "currency £ ¥ ₹ ₿ ¢ © ® ™ § ¶ †",
)

#: Every exported text, and strings chosen to break tokenizers.
HARD: tuple[str, ...] = TEXTS + _STRANGE

_PLAIN = "a plain text"


def hard_pairs(length: int) -> tuple[tuple[str, str], ...]:
    """Each hard string as the first and as the second text of a pair, and pairs to be cut.

    Args:
        length: Tokens that the model reads: one text of a pair may be over it, or both.
    """
    half, whole = "word " * (length * 2 // 3), "word " * (2 * length)
    cut = ((whole, _PLAIN), (_PLAIN, whole), (half, half), (half, whole), (whole, half))
    sides = ((_PLAIN, text) for text in HARD)
    return (*((text, _PLAIN) for text in HARD), *sides, *cut)
