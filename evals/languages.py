"""Detects the language of a text: by its letters where one language alone is written with them, else by its commonest words.

That is enough to tell a German answer from an English one, and a Japanese from either.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from app.domain.spelling import composed

_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963\u0971-\u0983])+")  # vowels' signs of Hindi are none of \w
_COMMON = {
    "en": "the and of to is are you your with for in on it that can be not we our from have has this was will after at by or if",
    "de": "der die das und ist sie ihre ihr mit für nicht wir von haben kann den dem ein eine zu im auf es nach sich werden bei",
    "es": "el la los las y es su sus con para no de que en un una por se puede han está al del tiene o si lo este esta "
    "como más pero debe ser cada sin",
    "fr": "le la les et est vous votre avec pour ne pas de que en un une nous dans sur des du a peut sont après ou si au "
    "ce cette il être doit plus par qui",
    "it": "il lo la gli e è suo con per non di che in un una si può sono del della dopo o se al i ha da questo questa "
    "come più ma deve essere ogni",
    "nl": "de het en is u uw je met voor niet van dat in een we op kan zijn na of als te wij er bij naar",
    "pt": "o a os as e é seu sua com para não de que em um uma se pode são do da após ou ao por no na este esta isto como "
    "mais mas deve ser cada sem",
    "af": "die en is jy jou met vir nie van dat in 'n ons op kan wees na of as te daar by word het hierdie moet dit",
    "ca": "el la els les i és seu seva amb per no de que en un una es pot són del dels al o si ha aquest aquesta cal heu",
    "cs": "a je se na v že to z s do pro o ve by jsou jako k za nebo ale není být tento tato musí od po při který které",
    "cy": "y yr yn a i o ar am wedi mae nid gan gyda eich ei fod hwn hon rhaid bod neu os chi nad oes",
    "da": "og i at det er en til på som med for af de ikke der den har du vi kan din et fra om vil skal eller denne dette",
    "et": "ja on ei see et kui või oma teie selle mis ta ole peab saab kas ka siis palun",
    "fi": "ja on ei se että tai jos tämä tämän ole olla voi sinun mutta kun joka ovat myös anna",
    "gl": "unha unhas súa non máis polo pola coa cun dun nun xa pode son ó á é en que un o a os as do da",
    "hr": "i je se na u da su za od s ne koji koja ili ako kao to ovaj ova iz do već nije mora vaš",
    "hu": "a az és hogy nem van egy ez kell vagy is meg ha csak be ki lehet ön ezt már volt érvényes az",
    "id": "yang dan di ini itu dengan untuk tidak dari ke anda pada dalam adalah atau akan bisa dapat jika oleh telah harus",
    "ms": "yang dan di ini itu dengan untuk tidak dari ke anda pada dalam adalah atau akan boleh jika oleh telah mesti "
    "sila kepada",
    "is": "og í að er á sem til við um ekki það þú þetta en eða þessi af fyrir með frá hefur verður",
    "lt": "ir yra į kad su iš tai ar jūs ne bet kaip nėra šis turi jei prie būti jūsų nuo",
    "lv": "un ir uz ka ar no tas vai jūs nav bet kā šis jābūt lai ja pie būt jūsu par",
    "no": "og i å det er en til på som med for av de ikke den har du vi kan din et fra om vil skal eller denne dette",
    "pl": "i w na z że się nie to jest do o jak ale po co za od przez dla lub jeśli są być może ten ta proszę musi",
    "ro": "și în de la cu nu este să o un pe care pentru din se sunt mai dar sau ați dacă dumneavoastră ați acest această",
    "sk": "a je sa na v že to z s do pre o vo by sú ako k za alebo ale nie byť tento táto musí od po pri ktorý ktoré",
    "sl": "in je se na v da so za od s z ne ki ali če kot to ta iz do že ni mora vaš biti lahko",
    "sq": "dhe në të e i një për me nuk është që nga se ju si ka do jeni kjo ky ose nëse duhet",
    "sv": "och i att det är en till på som med för av de inte den har du vi kan din ett från om vill ska eller denna detta",
    "sw": "na ya wa kwa ni katika la za hii hiyo kuwa au si ili kama yako tafadhali",
    "tr": "ve bir bu için ile da de mi ne var yok çok daha olarak veya ama gibi olan değil lütfen en",
    "vi": "và là của có không được cho các này một với trong đã bạn để về những khi hãy phải từ",
    "ru": "и в не на что с по это как но из для вы ваш от к мы или если у за так есть был можно этот будет о",
    "uk": "і в не на що з по це як але із для ви ваш від до ми або якщо у за так є був можна цей буде та й",
    "be": "і ў не на што з па гэта як але для вы ваш ад да мы або калі у за так ёсць быў можна гэты будзе",
    "bg": "и в не на че с по това как но от за вие ваш към ние или ако у са се да е бе може този ще",
    "sr": "и у не на да с по то како али из за ви ваш од к ми или ако је су се овај ова може бити "
    "i u ne na da sa po to kako ali iz za vi vaš od mi ili ako je su se ovaj ova može biti",
    "mk": "и во не на дека со по ова како но од за вие вашиот кон ние или ако е се да може овој ќе",
    "ar": "في من على إلى أن لا هذا هذه التي الذي عن مع أو ما هو هي لم كان قد تم يمكن لقد إذا يجب",
    "fa": "در از به که را این است با برای آن شما یا نیست می های باید هم اگر شده خود بر تا",
    "ur": "میں سے کے کی کا کو ہے اور یہ آپ نہیں پر ہیں کر یا نے ایک کیا جا ہو",
    "hi": "में से के की का को है और यह आप नहीं पर हैं कर या ने एक क्या इस हो",
    "mr": "आहे आणि या हे आपण नाही आहेत किंवा तर एक आपल्या ही असणे हा करा मध्ये",
    "ne": "छ र यो हो गर्नुहोस् छैन वा को मा ले लाई तपाईं भने यस हुनुपर्छ",
}
_LANGUAGES_OF: defaultdict[str, list[str]] = defaultdict(list)
for _code, _words_of_it in _COMMON.items():
    for _word in set(_words_of_it.split()):
        _LANGUAGES_OF[_word].append(_code)
# Scripts of one language, most often.
_LETTERS: Mapping[str, re.Pattern[str]] = {
    code: re.compile(f"[{letters}]")
    for code, letters in {
        "ja": "\u3040-\u30ff\uff66-\uff9f",
        "zh": "\u3400-\u4dbf\u4e00-\u9fff",
        "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3",
        "th": "\u0e01-\u0e4e",
        "el": "\u0370-\u03ff\u1f00-\u1fff",
        "he": "\u05d0-\u05ea",
        "hy": "\u0531-\u0587",
        "ka": "\u10a0-\u10ff",
        "am": "\u1200-\u137f",
        "bn": "\u0985-\u09e3",
        "pa": "\u0a05-\u0a74",
        "gu": "\u0a85-\u0ae3",
        "ta": "\u0b85-\u0bd7",
        "te": "\u0c05-\u0c63",
        "kn": "\u0c85-\u0ce3",
        "ml": "\u0d05-\u0d63",
        "si": "\u0d85-\u0ddf",
        "lo": "\u0e81-\u0ecd",
        "my": "\u1000-\u103f",
        "km": "\u1780-\u17d3",
    }.items()
}
_OF_ONE = re.compile("|".join(letters.pattern for letters in _LETTERS.values()))
_OF_MANY = re.compile(r"[a-zß-ɏḀ-ỿЀ-ӿ؀-ۿऀ-ॿ]", re.IGNORECASE)
KANA_SHARE = 0.2  # most Japanese texts have more; a Chinese one names a Japanese product at times


MARGIN = 2  # times as many common words as the next language
FEWEST = 4


def surely(text: str) -> str | None:
    """The language of a text where it is beyond doubt.

    For demands on answers that no person has read.
    """
    if by_letters := _by_letters(text):
        return by_letters
    weights, counts = _common_words(text)
    best, second, *_ = [*sorted(weights, key=lambda code: -weights[code]), "", ""]
    return best if counts[best] >= FEWEST and weights[best] >= MARGIN * weights.get(second, 0) else None


def language(text: str) -> str | None:
    """The language whose letters or common words are most of a text's; None where no language has any."""
    if by_letters := _by_letters(text):
        return by_letters
    weights, _ = _common_words(text)
    return max(weights, key=lambda code: weights[code], default=None)


def _by_letters(text: str) -> str | None:
    """The language in whose own script most of a text's letters are. Names of products stay Latin in all."""
    if text.isascii() or not (own := len(_OF_ONE.findall(text))):
        return None
    counts = {code: len(letters.findall(text)) for code, letters in _LETTERS.items()}
    if counts["ja"] >= KANA_SHARE * (counts["ja"] + counts["zh"]):
        counts["ja"] += counts.pop("zh")
    return max(counts, key=lambda code: counts[code]) if 2 * own >= len(_OF_MANY.findall(text)) else None


def _common_words(text: str) -> tuple[dict[str, float], Counter[str]]:
    """Each language's common words in a text: their weight, which is less for a word of several languages, and their number."""
    weights: defaultdict[str, float] = defaultdict(float)
    counts: Counter[str] = Counter()
    for word in _WORD.findall(composed(text).lower()):
        codes = _LANGUAGES_OF.get(word, ())
        for code in codes:
            weights[code] += 1 / len(codes)
            counts[code] += 1
    return weights, counts
