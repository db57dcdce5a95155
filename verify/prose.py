"""Sentences, words in capitals and the language of a text, by plain rules; each is linear in the text.

IFEval uses a trained detector of languages and a trained tokenizer. These rules agree with them on ordinary prose: a
language is told by its script, and among languages of one script by its most frequent words.
"""

import re
import unicodedata
from collections import Counter

_SCRIPTS = {
    **{"HANGUL": "ko", "BENGALI": "bn", "THAI": "th", "TAMIL": "ta", "TELUGU": "te", "HEBREW": "he", "KANNADA": "kn"},
    **{"GUJARATI": "gu", "GURMUKHI": "pa", "MALAYALAM": "ml", "GREEK": "el"},
}
# The most frequent words of languages that share a script
_FREQUENT = {
    "LATIN": {
        "en": "the and of to is in that it was for with as on are this be you have not they but from which at",
        "es": "el los las que y en un una por con no para es del se su al como más pero lo está muy son hay",
        "pt": "o os as que e em um uma por com não para é do da dos das se seu ao como mais mas são está ou no na",
        "fr": "le les des et est que un une dans pour qui pas sur avec ce il elle du au plus par sont nous vous je",
        "de": "der die das und ist nicht ein eine zu den mit von für auf sich des dem im es ich auch wie sie sind",
        "it": "il di che e la è un una per non con del della sono si i gli le da anche come più ma nel alla questo",
        "pl": "i w na nie się z jest do że to o jak ale po co jego od są przez dla tak czy który oraz ten",
        "fi": "ja on ei että se oli hän mutta niin kun myös ovat joka tai kuin jos nyt olen voi minä tämä sen ole",
        "vi": "và của là có không cho một được trong với các những người này đã để khi từ đến cũng như tôi bạn",
        "sw": "na ya wa kwa ni katika la za kuwa hii hiyo yake watu cha pia lakini kama au si hapa sana wao ili",
        "nl": "de het een en van is dat niet te op met voor zijn aan er die ook als maar naar bij om ik je wordt",
        "sv": "och att det som en på är av för med den till inte har de jag ett om var men så från vi kan",
        "tr": "ve bir bu da de için ile çok olarak daha ne gibi kadar olan sonra ama en var mi her değil ben",
        "id": "dan yang di ini itu dengan untuk dari dalam tidak pada adalah akan juga ke ada saya bisa oleh kami",
    },
    "CYRILLIC": {
        "ru": "и в не на что он как это по но из у за от так же бы для все был только мы или если они я ты вы есть",
        "bg": "и на да се от за е не са с по че като това си ще но до или при който много има във беше към аз ти",
        "uk": "і в не на що він як це по але з у за від так же та для все був тільки ми або якщо вони є й до я ти",
    },
    "ARABIC": {
        "ar": "في من على أن إلى هذا هذه التي الذي مع كان عن لا ما هو هي أو كل بعد قد بين ذلك لم كما إن",
        "fa": "و در به از که این است را با برای آن یک می خود تا بر هم نیز شد بود ها اما یا او",
        "ur": "کے کی میں ہے اور سے کا کو پر نے کہ یہ ہیں اس کر بھی ایک تھا لیے جو نہیں تو وہ ہو",
    },
    "DEVANAGARI": {
        "hi": "के की में है और से का को पर ने कि यह हैं इस कर भी एक था लिए जो नहीं तो वह हो",
        "mr": "आणि आहे या तो ते ती हे की मध्ये नाही आहेत हा ही साठी एक पण मी होते व त्या करण्यात असे",
        "ne": "र छ मा को हो लाई यो पनि भने गर्न हुन्छ छन् का एक तर म गरेको छैन त्यो हुन् थियो लागि",
    },
}
_WORDS = {
    script: {code: frozenset(words.split()) for code, words in known.items()} for script, known in _FREQUENT.items()
}
_SAMPLED = 20_000  # characters that tell the language
_END = re.compile(r"(?P<stop>[.!?…]{1,40})[\"'”’)\]*]{0,9}(?=\s|\Z)|[。！？।]")
_ABBREVIATION = re.compile(
    r"(?:\A|[\s(\"'])(?:mr|mrs|ms|dr|st|prof|vs|e\.g|i\.e|etc|jr|sr|inc|ltd|co|no|[a-z])\Z", re.IGNORECASE
)
_BETWEEN = re.compile(r"[\s,;:?!()\[\]{}<>\"“”‘`&@#$%*…]|\.\.|--")
_CONTRACTED = ("N'T", "'S", "'LL", "'RE", "'VE", "'D", "'M")


def language_of(text: str) -> str | None:
    """Returns the code of the language that most of a text is in; None where no frequent word tells it."""
    text = text[:_SAMPLED].casefold()
    scripts = Counter(_script(character) for character in text if character.isalpha())
    if not scripts:
        return None
    if scripts["KANA"] and scripts["KANA"] + scripts["CJK"] > scripts.total() / 2:
        return "ja"
    script = scripts.most_common(1)[0][0]
    if script == "CJK":
        return "zh"
    if script not in _WORDS:
        return _SCRIPTS.get(script)
    words = [word.strip(".,;:!?()[]\"'«»“”،؟।*-") for word in text.split()]
    found = Counter({code: sum(word in known for word in words) for code, known in _WORDS[script].items()})
    (best, most), (_, second) = found.most_common(2)
    return best if most > second else None


def _script(character: str) -> str:
    name = unicodedata.name(character, "").split(" ", 1)[0]
    return "KANA" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else name.partition("-")[0]


def is_english(text: str) -> bool:
    """Returns True for text in Latin letters that no frequent words show to be in another language."""
    foreign = sum(character.isalpha() and not character.isascii() for character in text)
    return language_of(text) in (None, "en") and foreign * 10 <= len(text)


def count_sentences(text: str) -> int:
    """Counts sentences: a stop ends one, but not after an abbreviation or an initial, nor before a small letter."""
    count, after = 0, 0
    for end in _END.finditer(text):
        following = text[end.end() : end.end() + 50].lstrip()[:1]
        short = end["stop"] == "." and _ABBREVIATION.search(text, max(after, end.start() - 8), end.start())
        if (short and following) or (end["stop"] and following.islower()):
            continue
        if any(map(str.isalnum, text[after : end.start()])):
            count += 1
        after = end.end()
    return count + any(map(str.isalnum, text[after:]))


def count_capital_words(text: str) -> int:
    """Counts words in capitals, ``I`` too; ``DON'T`` and ``IT'S`` are two words each."""
    count = 0
    for token in _BETWEEN.split(text.replace("’", "'")):
        if (word := token.strip(".'")).isupper():
            count += 1 + any(word.endswith(end) and word != end for end in _CONTRACTED)
    return count
