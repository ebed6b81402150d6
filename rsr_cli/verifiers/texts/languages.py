"""Which language a text is in, by its script and its most frequent words; no model, no library."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

_LEAST_WORDS = 2
"""Frequent words that must be seen before a language is told from others of its script."""
_ENOUGH = 0.5
"""The share of letters in its script that a text in a language has at least: it may quote others."""
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "LATIN": (
        "en", "es", "pt", "fr", "de", "it", "nl", "pl", "vi", "sw", "fi", "sv", "da", "no", "cs", "ro", "hu", "tr",
        "id",
    ),
    "CYRILLIC": ("ru", "uk", "bg"),
    "ARABIC": ("ar", "fa", "ur"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "CJK": ("zh", "ja"),
    "HIRAGANA": ("ja",), "KATAKANA": ("ja",), "HANGUL": ("ko",), "BENGALI": ("bn",), "THAI": ("th",), "TAMIL": ("ta",),
    "TELUGU": ("te",), "HEBREW": ("he",), "KANNADA": ("kn",), "GUJARATI": ("gu",), "GURMUKHI": ("pa",),
    "MALAYALAM": ("ml",), "GREEK": ("el",), "GEORGIAN": ("ka",), "ARMENIAN": ("hy",), "SINHALA": ("si",),
    "LAO": ("lo",), "KHMER": ("km",), "MYANMAR": ("my",),
}  # fmt: skip
_SCRIPT_OF = {code: script for script, codes in _SCRIPTS.items() for code in codes}
LANGUAGES = frozenset(_SCRIPT_OF)
"""The codes that are known, as in ISO 639-1."""
_FREQUENT = {
    "en": "the of and to in is that it for was with are this you have not be on as by from they will your can",
    "es": "el la los las de que y en un una es por con para no se del al lo como más pero su está son muy",
    "pt": "o os as de que e em um uma é por com para não se do da dos das ao mas como mais seu sua são está você",
    "fr": "le la les de des et est un une que qui dans pour pas ne sur avec il elle ce cette sont au du vous nous plus",
    "de": "der die das und ist nicht ein eine zu den mit von auf für im des dem sich es sie wir ich auch werden sind",
    "it": "il lo la gli di che e è un una per non con del della sono si le da in nel alla più anche come questo",
    "nl": "de het een en van is dat niet op te zijn met voor in er aan ook als maar je wij deze wordt bij naar",
    "pl": "i w na nie się z do to że jest o jak ale co po za od dla tak czy przez są być jego który",
    "vi": "và là của có không được trong cho một những các này với người đã để khi từ về như đó cũng bạn",
    "sw": "na ya wa kwa ni katika za la hii kuwa kama hiyo cha yake wake pia lakini au ili watu sana hizi",
    "fi": "ja on ei se että oli mutta ovat hän joka myös kun niin tai ole sen kuin jos vain tämä voi olla",
    "sv": "och att det är som en på av för med den till inte har ett om jag var från vi kan de men så",
    "da": "og at det er en til på som med for af den ikke har der et de jeg var fra vi kan om men hvad",
    "no": "og at det er en til på som med for av den ikke har et de jeg var fra vi kan om men hva også",
    "cs": "a se je na že v s z to do pro ale jako by jsem tak jeho který není jsou nebo také po při být",
    "ro": "și în de la cu nu este un o pe că care din sau pentru mai sunt ca prin după fost ale acest",
    "hu": "a az és hogy nem is egy van meg de csak ez volt már ha mint még minden vagy nagyon lehet",
    "tr": "ve bir bu da de için ile çok ne olarak daha gibi olan var ama kadar sonra değil ise en ben",
    "id": "yang dan di untuk dengan dari ini itu tidak pada adalah dalam akan atau juga ke bisa karena anda oleh",
    "ru": "и в не на что с он как это по но из у за от так для же все вы мы они было его или",
    "uk": "і в не на що з він як це та до але у за від так для ж є ви ми вони було його або якщо",
    "bg": "и в не на че с той как това по но от за да се са е ще ли към или така ние те със",
    "ar": "في من على أن إلى التي هذا ما لا هو عن مع كان هذه الذي أو كل ذلك بين قد هي و ثم كما",
    "fa": "و در به از که این را با است برای آن یک خود تا کرد بر هم نیز می ها شود باشد شما",
    "ur": "کے کی میں ہے اور سے کا کو اس نے پر یہ ہیں کہ بھی ایک نہیں تھا گیا جو ہو آپ لیے",
    "hi": "के है में की और से को का कि यह हैं पर नहीं एक भी इस हो कर था तो ने आप लिए",
    "mr": "आहे आणि या हे आहेत तर मी ते नाही की होते एक हा त्या आपण त्याने म्हणून किंवा साठी असे",
    "ne": "छ र को मा यो हो गर्न छन् पनि भने लागि थियो एक तर गरेको हुन्छ यस नै तपाईं त्यो",
}
_LETTERS = {
    "es": "ñ¿¡", "pt": "ãõ", "de": "ß", "pl": "łżśń", "cs": "ěřů", "ro": "șță", "hu": "őű", "tr": "ğıİ", "vi": "ơưđạếộ",
    "ru": "ыэё", "uk": "іїєґ", "ur": "ٹڈےں",
}  # fmt: skip
"""Those that no other language here has, or few."""
_WORDS: Mapping[str, frozenset[str]] = {code: frozenset(words.split()) for code, words in _FREQUENT.items()}
_WORD = re.compile(r"[^\W\d_\u0900-\u0dff]+|[\u0900-\u0963\u0970-\u0dff]+")
_LONGEST = 20_000
"""Characters that are looked at."""


def is_in(text: str, code: str) -> bool | None:
    """Return whether a text is in the language of a code such as `fr`, None where so short a text does not tell.

    Raises ValueError for a code that is not known.
    """
    code = code.strip().lower().partition("-")[0].partition("_")[0]
    if code not in LANGUAGES:
        raise ValueError(f"the language {code[:20]!r} is not known; known: {', '.join(sorted(LANGUAGES))}")
    text = text[:_LONGEST]
    scripts = _scripts(text)
    if not scripts:
        return False
    main, share = _main_script(scripts)
    if code not in _SCRIPTS.get(main, ()) or share < _ENOUGH:
        return False
    if main in ("CJK", "HIRAGANA"):  # kana are in any sentence of Japanese
        return (code == "ja") == bool(scripts["HIRAGANA"] + scripts["KATAKANA"])
    if len(_SCRIPTS[main]) == 1:
        return True
    counts = _frequent_words(text, _SCRIPTS[main])
    best = max(counts.values())
    if best < _LEAST_WORDS:
        return None
    others = max(count for other, count in counts.items() if other != code)
    return None if counts[code] == others == best else counts[code] > others


def _scripts(text: str) -> Counter[str]:
    """How many letters there are of each script."""
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            counts[unicodedata.name(char, "?").split()[0].split("-")[0]] += count
    return counts


def _main_script(scripts: Counter[str]) -> tuple[str, float]:
    """The most frequent script and its share; Han and kana are one."""
    merged = Counter(scripts)
    japanese = merged["HIRAGANA"] + merged["KATAKANA"]
    if japanese:
        merged["HIRAGANA"] = japanese + merged.pop("CJK", 0)
        merged.pop("KATAKANA", None)
    main, count = merged.most_common(1)[0]
    return main, count / merged.total()


def _frequent_words(text: str, codes: tuple[str, ...]) -> dict[str, int]:
    """How many words, and letters, of each language there are that are frequent in it."""
    plain = unicodedata.normalize("NFC", text).lower()
    words, letters = Counter(_WORD.findall(plain)), Counter(plain)
    return {
        code: sum(words[word] for word in _WORDS[code]) + sum(letters[char] for char in _LETTERS.get(code, ""))
        for code in codes
    }
