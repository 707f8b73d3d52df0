"""Real text to hold graphs against: many scripts, shapes and lengths, written for this package.

A graph that is right for ten English words may be wrong for one token, for a full row, for a
type of attention mask or for a text of nothing but unknown characters. The set is small enough
to run on every export.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_tx.errors import UnsupportedModel
from edge_tx.text import Tokenizer

__all__ = ["CONTEXTS", "LABELS", "PAIRS", "TEXTS", "inputs_for", "options_for"]

_LONG_EN = " ".join(
    f"On day {day} the crew logged wind from the {wind}, a swell of {day % 5 + 1} metres and "
    f"{day * 7 % 23 + 2} sightings of birds, which the cook entered in the old ledger by hand."
    for day, wind in enumerate(("north", "south-west", "east", "west", "north-east") * 2, 1)
)
_LONG_DE = " ".join(
    f"Im Abschnitt {part} der Anleitung steht, dass der Filter nach {part * 40} Stunden gereinigt, "
    f"die Dichtung geprüft und der Wasserstand auf Höhe der Markierung {part % 3} gebracht wird."
    for part in range(1, 11)
)
_LONG_ZH = "".join(
    f"第{part}批货物在早上{part + 5}点离开仓库,经过两座桥和一段山路,傍晚之前送到了港口的三号码头。"
    for part in range(1, 9)
)

TEXTS: tuple[str, ...] = (
    "The ferry leaves at nine, so pack the sandwiches tonight.",
    "I have never been so happy with a pair of boots!",
    "The soup arrived cold and nobody apologised.",
    "Maria Keller moved from Hamburg to Toronto to work for the Nordwind Institute.",
    "Ok",
    "no",
    "?",
    "7",
    "Die Straßenbahn hält heute nicht am Rathaus, weil dort gebaut wird.",
    "Überraschend günstig, aber die Tür klemmt bei Kälte.",
    "Le musée ferme à dix-huit heures, sauf le jeudi où l'entrée est gratuite.",
    "Où est passée la clé du garage ?",
    "El tren de la mañana llegó tarde, pero el café estaba buenísimo.",
    "A chuva parou e as crianças voltaram a jogar bola na praça.",
    "Żółta łódź płynęła powoli wzdłuż brzegu, a wędkarze milczeli.",
    "Завтра обещают снег, поэтому поезд отправится на час раньше.",
    "Το καράβι για τη Νάξο φεύγει στις οκτώ το πρωί.",
    "İstanbul'da yağmur dindi, vapurlar yeniden çalışıyor.",
    "وصلت الحافلة متأخرة لكن السائق اعتذر للركاب بلطف.",
    "הספרייה פתוחה עד תשע בערב בכל ימות השבוע.",
    "कल सुबह बाज़ार बंद रहेगा, इसलिए सब्ज़ियाँ आज ही ले लो।",
    "নদীর ধারে বসে বাবা পুরোনো দিনের গল্প বলছিলেন।",
    "รถไฟขบวนสุดท้ายออกจากสถานีตอนเที่ยงคืน",
    "Cửa hàng đã hết bánh mì, nhưng vẫn còn cà phê nóng.",
    "这家小店的面条很好吃,但是排队的人太多了。",
    "図書館は月曜日が休みなので、火曜日に本を返します。",
    "내일은 비가 온다고 하니 우산을 꼭 챙기세요.",
    "Great news 🎉🎉 the baby is here 👶🏽 and everyone is fine ❤️‍🔥",
    "🚲",
    "Cafe\u0301 nai\u0308ve re\u0301sume\u0301, a\u0304e\u0323o\u0302\u0301 with combining marks",
    "Invoice 2024-0817: 3 x 19.95 EUR = 59.85 EUR, due 31.12.2024, IBAN DE00 1234 5678",
    'for i in range(10):\n    print(f"{i:>3}", i ** 2)  # squares',
    'SELECT name, COUNT(*) FROM orders WHERE total >= 9.5 GROUP BY name; -- "quoted"',
    "See https://example.org/docs/start?lang=en&v=2#install or write to help@example.org.",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "WAIT... what?! (really) -- [yes], {no}; 'maybe' / \"never\" & so_on",
    "English, dann Deutsch, puis français, и русский, ثم العربية, 最后中文。",
    "tabs\tand  double   spaces\nand lines\r\nof three kinds",
    "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz",
    _LONG_EN,
    _LONG_DE,
    _LONG_ZH,
)

PAIRS: tuple[tuple[str, str], ...] = (
    ("When does the ferry leave?", TEXTS[0]),
    ("cold soup", TEXTS[2]),
    ("Who moved to Toronto?", TEXTS[3]),
    ("Ok", "no"),
    ("Wann fährt die Straßenbahn?", TEXTS[8]),
    ("musée gratuit", TEXTS[10]),
    ("Что обещают завтра?", TEXTS[15]),
    ("متى وصلت الحافلة؟", TEXTS[18]),
    ("面条好吃吗?", TEXTS[24]),
    ("休みはいつですか", TEXTS[25]),
    ("우산", TEXTS[26]),
    ("is the baby here? 👶🏽", TEXTS[27]),
    ("total of the invoice", TEXTS[30]),
    ("a day with wind from the east", _LONG_EN),
    (_LONG_DE, "Wann wird der Filter gereinigt?"),
)

CONTEXTS: tuple[tuple[str, str], ...] = (
    *(PAIRS[i] for i in (0, 2, 4, 6, 7, 8, 9, 10, 12)),
    ("When did the soup arrive?", TEXTS[2]),
    ("What did the cook do by hand?", _LONG_EN),
    ("Wie oft wird der Filter gereinigt?", _LONG_DE),
    ("货物送到哪里?", _LONG_ZH),
)

LABELS: tuple[str, ...] = ("travel", "food", "weather", "technology")

#: Texts with a gap that the mask token fills.
_GAPS: tuple[str, ...] = (
    "The capital of France is {}.",
    "She put the {} on the table and left.",
    "{} is my favourite colour.",
    "Der Hund schläft unter dem {}.",
    "Le chat boit du {}.",
    "El sol sale por el {}.",
    "Москва — столица {}.",
    "عاصمة مصر هي {}.",
    "北京是{}的首都。",
    "東京は{}の首都です。",
    "A {} and a {} walk into a bar.",
    "{}",
    "Good 🎉 {} 👶🏽!",
    _LONG_EN + " The ledger is now in a {}.",
    "Before the {} it was quiet. " + _LONG_DE,
)


def inputs_for(task: str, tokenizer: Tokenizer, mask_token: str = "") -> list[Any]:
    """Inputs that a task takes.

    Args:
        task: Name of the task.
        tokenizer: The checkpoint's.
        mask_token: As the tokenizer writes it; looked up by its id if empty.

    Raises:
        UnsupportedModel: The task needs a mask token, and the tokenizer has none.
    """
    make = _MAKERS.get(task)
    return list(TEXTS) if make is None else make(tokenizer, mask_token)


def options_for(task: str) -> Mapping[str, Any]:
    """Call options the inputs need: the labels of a zero-shot classifier."""
    return _OPTIONS.get(task, {})


def _classified(tokenizer: Tokenizer, mask_token: str) -> list[Any]:
    return [*TEXTS, *PAIRS[::3]]


def _pairs(tokenizer: Tokenizer, mask_token: str) -> list[Any]:
    return list(PAIRS)


def _contexts(tokenizer: Tokenizer, mask_token: str) -> list[Any]:
    return list(CONTEXTS)


def _masked(tokenizer: Tokenizer, mask_token: str) -> list[Any]:
    mask_id = tokenizer.policy.special.get("mask")
    mask = mask_token or (tokenizer.token_of(mask_id) if mask_id is not None else "")
    if not mask:
        raise UnsupportedModel("fill-mask needs a mask token, and this tokenizer has none")
    return [gap.replace("{}", mask) for gap in _GAPS if _keeps_mask(tokenizer, gap, mask)]


def _keeps_mask(tokenizer: Tokenizer, gap: str, mask: str) -> bool:
    """Whether the row still holds a mask once the text is cut to the model's length."""
    (encoding,) = tokenizer.encode([gap.replace("{}", mask)])
    return tokenizer.id_of(mask) in encoding.ids


_MAKERS: Mapping[str, Callable[[Tokenizer, str], list[Any]]] = {
    "text-classification": _classified,
    "text-ranking": _pairs,
    "question-answering": _contexts,
    "fill-mask": _masked,
}

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "zero-shot-classification": {"labels": list(LABELS)},
}
