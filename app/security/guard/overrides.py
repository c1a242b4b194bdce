r"""Sentences that tell a model to drop its instructions, in the languages of customers, and letters that stand for others.

Each pattern asks for a verb, a noun of a model's world and a word for "all" or "earlier": "ignore my previous message" and "the
previous instructions are missing" are a customer's in every language. A verb of forgetting counts by its ending, or where a
sentence begins with it: "do not forget all the instructions" has the same words. RE2's ``\b`` and ``\w`` know ASCII alone.
"""

import unicodedata
from functools import lru_cache

import re2

_W = r"[^.!?。！？।\n]"  # within a sentence
_ROMANCE_NOUN = (
    r"(?:instru[a-zçțõã]*|istruzion[ei]|consignes?|reglas?|regras?|regole|règles?|directives?|"
    r"directrices|diretrizes|indicaciones)"
)
_PATTERNS = (
    # Romance: the adjective follows
    (
        r"(?:\bignor(?:a|e|ez|en|ate|ați|ă|ar)?|\bdesconsider[ae])"
        rf"{_W}{{0,12}}(?:(?:tod[ao]s|toutes|tutt[ei]|toate|totes){_W}{{1,8}}{_ROMANCE_NOUN}|"
        rf"{_ROMANCE_NOUN}{_W}{{1,12}}(?:anterior|anterioare|previ[ao]s|précédent|precedent|antérieur|ci-dessus))"
    ),
    # Germanic
    (
        r"\b(?:ignoriere?n?|missachten?|negeer|ignorera|ignorer|ignorér)"
        r"(?: (?:sie|bitte|jetzt|nun|einfach|nu|alsjeblieft|nå|venligst))*"
        r"(?: (?:all|die|deine|eure|diese|de|je|jouw|deze|dina|era|dine|jeres|disse))*"
        r" (?:alle[rn]?|alla|vorherigen?|bisherigen?|obigen?|vorangegangenen|vorige|eerdere|tidigare|tidligere|forrige)"
        r"(?: [^\s.!?]+){0,2} (?:anweisung|instruktion|instructie|regel|vorgabe|systemprompt|anvisning|instruks)"
    ),
    # Slavic
    (
        r"(?:игнорируй|ігноруй|игнорирай|zignoruj|ignoruj|ignoriraj)"
        rf"{_W}{{0,15}}(?:все|всі|усі|wszystkie|všechny|všetky|sve|vse|всички|предыдущ|попередн|poprzedni|předchoz|prethodn|предишн)"
        rf"{_W}{{0,25}}(?:инструкц|указани|правил|інструкці|вказівк|instrukcj|poleceni|zasad|pokyn|instrukce|uput|navodil)"
    ),
    # Greek, Hungarian, Finnish, Estonian, Turkish
    rf"(?:αγνόησε|αγνοήστε){_W}{{0,12}}(?:όλες|όλους|προηγούμεν){_W}{{0,25}}(?:οδηγίες|εντολές|κανόνες)",
    rf"figyelmen kívül{_W}{{0,15}}(?:összes|korábbi|előző|eddigi){_W}{{0,20}}(?:utasítás|szabály)",
    (
        rf"(?:jätä|ohita|ignoreeri){_W}{{0,8}}(?:kaikki|aiemmat|edelliset|kõiki|eelnevaid){_W}{{0,20}}"
        r"(?:ohjeet|säännöt|määräykset|juhiseid|reegleid)"
    ),
    (
        rf"(?:önceki|tüm|yukarıdaki){_W}{{0,15}}(?:talimat|komut|kural|yönerge){_W}{{0,12}}"
        r"(?:yok say|görmezden gel|dikkate alma|unut(?:un)?(?:[.,!\s]|$))"
    ),
    # East Asia
    rf"(?:忽略|无视|無視|忽視){_W}{{0,8}}(?:之前|先前|以上|上面|所有|全部|前面){_W}{{0,8}}(?:指令|指示|命令|规则|規則|提示词|提示詞)",
    r"(?:忽略|无视|無視|忽視)(?:之前|先前|以上|上面|前面)的?(?:所有|全部|一切)的?提示",
    (
        rf"(?:これまで|以前|上記|今まで|すべて|全て|前){_W}{{0,8}}(?:指示|命令|ルール|プロンプト|規則){_W}{{0,8}}"
        r"(?:無視|忘れて(?:ください|下さい|くれ))"
    ),
    (
        rf"(?:이전|모든|위의|앞의){_W}{{0,10}}(?:지시|명령|규칙|프롬프트|지침){_W}{{0,8}}"
        r"(?:무시|잊어(?:라|줘|버려|버리세요| ?주세요)|잊으세요)"
    ),
    # Arabic, Persian, Hebrew
    rf"(?:تجاهل|أهمل){_W}{{0,8}}(?:جميع|كل|كافة)?{_W}{{0,3}}(?:التعليمات|الأوامر|القواعد|التوجيهات){_W}{{0,4}}(?:السابقة|أعلاه)",
    rf"(?:دستورات|دستورهای|دستورالعمل|قوانین){_W}{{0,12}}(?:قبلی|پیشین|بالا){_W}{{0,8}}نادیده",
    rf"התעלמ?[םיו]?{_W}{{0,6}}(?:כל|מכל|מ)?{_W}{{0,3}}(?:ההוראות|ההנחיות|הכללים){_W}{{0,3}}(?:הקודמות|הקודמים|לעיל)",
    # India, South-East Asia, Africa
    rf"(?:पिछले|सभी|पूर्व){_W}{{0,12}}(?:निर्देश|आदेशों|नियम){_W}{{0,12}}(?:अनदेखा|अनदेखी|नज़रअंदाज़|भूल जा(?:ओ|एं|एँ|इए))",
    rf"(?:পূর্ববর্তী|আগের|সকল|সব){_W}{{0,12}}(?:নির্দেশ|নিয়ম){_W}{{0,10}}উপেক্ষা",
    rf"(?:ข้าม|เพิกเฉย|ละเว้น|อย่า(?:ไป)?สนใจ){_W}{{0,8}}ค(?:ำ|ํา)(?:สั่ง|แนะน(?:ำ|ํา))(?:ก่อนหน้า|ทั้งหมด|เดิม)",
    rf"(?:bỏ qua|phớt lờ){_W}{{0,12}}(?:hướng dẫn|chỉ dẫn|chỉ thị|quy tắc){_W}{{0,6}}(?:trước|ở trên)",
    rf"abaikan{_W}{{0,12}}(?:instruksi|perintah|arahan|aturan){_W}{{0,6}}(?:sebelum|di atas)",
    rf"puuza{_W}{{0,4}}(?:maagizo|maelekezo){_W}{{0,6}}(?:yote|awali)",
)
_BEGINS = r"(?:^|[\n.!?:;。！？，।،}\])\"»”]\s*)"  # of a sentence, or of what an attack has put before it
_FORGET = (
    (
        r"(?:olvid(?:a|ad|e|en|ate|áte de)|oublie[zr]?|esque[cç][ae]m?|dimentica(?:te)?|scorda(?:te)?|uit(?:ă|ați))"
        rf"{_W}{{0,24}}{_ROMANCE_NOUN}{_W}{{1,12}}(?:anterior|anterioare|previ[ao]s|précédent|precedent|antérieur|ci-dessus)"
    ),
    (
        r"(?:vergiss|vergesst|vergessen sie|vergeet|glöm|glem)(?: (?:bitte|jetzt|nun|einfach|nu|alle[ns]?|alla))*"
        r"(?: (?:die|deine|eure|diese|de|je|jouw|deze|dina|era|dine|jeres|disse))*"
        r" (?:vorherigen?|bisherigen?|obigen?|vorangegangenen|vorige|eerdere|tidigare|tidligere|forrige)"
        r"(?: [^\s.!?]+)? (?:anweisung|instruktion|instructie|regel|vorgabe|systemprompt|anvisning|instruks)"
    ),
    (
        r"(?:забудь(?:те)?|забрави|zapomnij(?:cie)?|zapomeň(?:te)?|zabudni(?:te)?|zaboravi(?:te)?|pozabi(?:te)?)"
        rf"{_W}{{0,18}}(?:предыдущ|попередн|предишн|poprzedni|předchoz|predchádz|prethodn|prejšnj)"
        rf"{_W}{{0,12}}(?:инструкц|указани|правил|інструкці|вказівк|instrukcj|poleceni|zasad|pokyn|instrukc|uput|navodil)"
    ),
    rf"(?:unohda|unusta){_W}{{0,8}}(?:aiemmat|edelliset|eelnevad){_W}{{0,12}}(?:ohjeet|säännöt|juhised|reeglid)",
    rf"(?:ξέχνα|ξεχάστε){_W}{{0,12}}προηγούμεν{_W}{{0,12}}(?:οδηγίες|εντολές|κανόνες)",
    rf"felejts(?:d|e|ék) el{_W}{{0,15}}(?:korábbi|előző|eddigi){_W}{{0,12}}(?:utasítás|szabály)",
    (
        r"(?:请|現在|现在|完全|立即|全部|都|你){0,4}(?:忘记|忘掉|忘記)"
        rf"{_W}{{0,4}}(?:之前|先前|以上|上面|前面){_W}{{0,10}}(?:指令|指示|命令|规则|規則|提示词|提示詞)"
    ),
    rf"(?:انس[ىَ]?|تغاض[ىَ]? عن|تناس[ىَ]?){_W}{{0,8}}(?:التعليمات|الأوامر|القواعد|التوجيهات){_W}{{0,4}}(?:السابقة|أعلاه)",
    rf"hãy quên{_W}{{0,16}}(?:hướng dẫn|chỉ dẫn|chỉ thị|quy tắc){_W}{{0,6}}(?:trước|ở trên)",
    rf"lupakan{_W}{{0,12}}(?:instruksi|perintah|arahan|aturan){_W}{{0,6}}(?:sebelum|di atas)",
    rf"(?:kalimutan|balewalain|huwag pansinin){_W}{{0,16}}(?:nakaraan|nauna|iyong){_W}{{0,8}}(?:tagubilin|panuto|utos)",
)
# One for each language: joined, they make an automaton that RE2 cannot keep in memory.
ABROAD = tuple(re2.compile(f"(?i){pattern}") for pattern in (*_PATTERNS, *(f"{_BEGINS}(?:{verb})" for verb in _FORGET)))

MOST_FOLDED = 48_000  # characters; twice as many hold 32,000 with an accent or a joined letter each
MOST_LETTERS = 4  # of one character: those of "ffi" and of a vendor's "Co., Ltd."; one Arabic ligature has eighteen
# Letters of other scripts, and small capitals, that look like a Latin one (Unicode's table of confusables).
_LOOKALIKES = str.maketrans(
    "аеорсухікмтвнгѕјԁһӏԛԝѵɡαοενικρτυχβηᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxikmtbhrsjdhlqwvgaoevikptuxbnabcdefghijklmnoprstuvwyz",
)
# Letters in circles and squares and those of flags, which have no compatibility form; tags, which are not drawn; fillers.
_ENCLOSED = {first + at: chr(97 + at) for first in (0x1F150, 0x1F170, 0x1F1E6) for at in range(26)}
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_DRAWN = {**_ENCLOSED, **_TAGS, 0x115F: None, 0x1160: None}


def folded(text: str) -> str:
    """The text in plain Latin letters: compatibility forms, accents, strokes through letters, and letters that look alike.

    Of one that becomes long, its beginning and its end.
    """
    bare = "".join(map(letter, text))
    return bare if len(bare) <= 2 * MOST_FOLDED else bare[:MOST_FOLDED] + bare[-MOST_FOLDED:]


@lru_cache(maxsize=1 << 15)  # as many as a text has characters that are screened
def letter(char: str) -> str:
    """The same of one character, which may stand for several letters, or for none.

    Each by itself: a text's normal form sorts the accents behind one letter, which takes the square of their number.
    """
    apart = unicodedata.normalize("NFKD", char).translate(_DRAWN)[:MOST_LETTERS]
    bare = "".join(c for c in apart if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    return bare.lower().translate(_LOOKALIKES)
