"""Our own sentences in many languages: invoices, letters, forms and chats, with labelled values by Faker.

Runs in the generator's environment, so it imports Faker alone. Odd seeds use the odd frames of each language and even seeds the
even ones: patterns are tuned on odd seeds below 10, figures come from even seeds. `UNTUNED` holds languages whose frames were
written after the patterns, and which no pattern was tuned on; so does `further.FURTHER`.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.redaction.further import FURTHER

Line = dict[str, object]

# Frames by locale, two for each kind of text. {d} a birth date, {n} a national id, {p} a phone, {e} an e-mail, {c} a card, {i} an
# IBAN, {o} an order number, {m} an amount, {t} a date of no person, {w} a name.
TUNED: Mapping[str, tuple[str, ...]] = {
    "en_US": (
        "Dear team,\nmy order {o} of {t} never came. Reach me at {p} or {e}.\nRegards, {w}",
        "Invoice {o}\nBill to: {w}\nPhone: {p}\nE-mail: {e}\nAmount due {m}\nCard {c}",
        "[10:15] {w}: I was born {d} and my SSN is {n}, is that enough?",
        "Customer: {w}\nDOB: {d}\nSocial Security: {n}\nOrder {o}, paid {m} on {t}",
        "Please call me back on {p} about {o}. You can refund {m} to {i}.",
        "Agent: what number can we use? {w}: try {p}, or my cell {p}. Mail is {e}.",
        "My date of birth is {d}; the card ending is not enough, so here it is: {c}.",
        "For the refund of {m}: IBAN {i}. Birthday {d}. Thanks, {w} ({e})",
    ),
    "en_GB": (
        "Hiya, it's {w}. My mobile's {p} and the parcel {o} is late.",
        "Invoice to {w}, tel {p}, {e}. Total {m}, due {t}. Paid with card {c}.",
        "Date of birth {d}\nNI number: {n}\nDirect debit from {i}",
        "I was born on {d}. National Insurance no. {n}. Ring me on {p}.",
        "Landline {p}, work {p}. Refund {m} to {i} please, order {o}.",
        "[09:02] {w}: you can get hold of me on {p} or at {e}",
    ),
    "de_DE": (
        "Sehr geehrte Damen und Herren,\nmeine Bestellung {o} vom {t} fehlt. Rückruf bitte unter {p}.\nMfG {w}",
        "Rechnung {o}\nKunde: {w}\nTel.: {p}, E-Mail: {e}\nBetrag {m}\nKreditkarte {c}",
        "Kundin: Ich bin am {d} geboren und unter {p} erreichbar. Mail an {e}.",
        "Geburtsdatum: {d}\nSteueridentifikationsnummer: {n}\nIBAN: {i}",
        "Meine Handynummer ist {p}, geb. am {d}, Steuer-ID {n}.",
        "Sie erreichen mich telefonisch unter {p}. Erstattung von {m} auf {i}.",
    ),
    "fr_FR": (
        "Bonjour, je suis {w}, né le {d}. Mon numéro est le {p}, mon mail {e}, commande {o}.",
        "Facture {o}\nClient : {w}\nTél. : {p} – Courriel : {e}\nMontant {m}\nCarte bancaire {c}",
        "Date de naissance : {d}\nNuméro de sécurité sociale : {n}\nIBAN : {i}",
        "Vous pouvez me joindre au {p}. Je suis née le {d}, n° de sécu {n}.",
        "Rappelez-moi au {p} s'il vous plaît, remboursement de {m} sur {i}.",
        "[14:20] {w} : mon portable c'est le {p}, et l'adresse {e}",
    ),
    "es_ES": (
        "Cliente: nací el {d}, mi móvil es el {p} y mi correo {e}. Pedido {o}.",
        "Factura {o}\n{w}\nTeléfono: {p}, correo: {e}\nImporte {m}\nTarjeta {c}",
        "Fecha de nacimiento: {d}\nNIF: {n}\nIBAN {i}",
        "Me pueden llamar al {p}. Mi NIE/NIF es {n}, fecha de nac. {d}.",
        "Mi número de teléfono es {p}; devuelvan {m} a la cuenta {i}.",
        "Soy {w}, nacida el {d}, llámenme al {p} por el pedido {o} del {t}.",
    ),
    "it_IT": (
        "Sono nato il {d}, il mio cellulare è {p}, mail {e}. Ordine {o}.",
        "Fattura {o}\nCliente: {w}\nTelefono: {p}, e-mail: {e}\nImporto {m}\nCarta di credito {c}",
        "Data di nascita: {d}\nCodice fiscale: {n}\nIBAN: {i}",
        "Mi chiami al {p}. Il mio C.F. è {n}, nata a Roma il {d}.",
        "Può contattarmi al numero {p} per il rimborso di {m} su {i}?",
        "[11:47] {w}: il mio numero è {p}, scrivimi a {e}",
    ),
    "nl_NL": (
        "Mijn mobiel is {p}, geboren op {d}, mail {e}. Bestelling {o}.",
        "Factuur {o}\n{w}\nTelefoon: {p}, e-mail: {e}\nBedrag {m}\nCreditcard {c}",
        "Geboortedatum: {d}\nBSN: {n}\nIBAN {i}",
        "Bel mij op {p} over {o}. Mijn burgerservicenummer is {n}.",
        "U kunt mij bereiken op {p}. Graag {m} terugstorten op {i}.",
        "Ik ben geboren op {d}, telefoonnummer {p}. Groet, {w}",
    ),
    "pt_BR": (
        "Cliente: nasci em {d}, meu celular é {p}, e-mail {e}. Pedido {o}.",
        "Nota {o}\n{w}\nTelefone: {p}, e-mail: {e}\nValor {m}\nCartão {c}",
        "Data de nascimento: {d}\nCPF: {n}\nConta {i}",
        "Pode ligar para {p}. Meu CPF é {n}, nascido em {d}.",
        "O meu número é {p}, por favor devolvam {m} para {i}.",
        "[08:30] {w}: me chama no WhatsApp {p} ou em {e}",
    ),
    "pl_PL": (
        "Klient: urodziłem się {d}, mój telefon to {p}, mail {e}. Zamówienie {o}.",
        "Faktura {o}\n{w}\nTelefon: {p}, e-mail: {e}\nKwota {m}\nKarta {c}",
        "Data urodzenia: {d}\nNumer PESEL: {n}\nNumer konta {i}",
        "Proszę dzwonić pod {p}. PESEL to {n}, ur. {d}.",
        "Mój numer komórkowy: {p}. Zwrot {m} na konto {i}.",
        "Urodziłam się {d}, proszę o kontakt pod numerem {p} w sprawie {o}.",
    ),
    "ja_JP": (
        "お客様: 生年月日は{d}です。電話は{p}、メールは{e}です。注文 {o}",
        "請求書 {o}\n{w} 様\n電話番号: {p} メール: {e}\nクレジットカード番号: {c}",
        "生年月日: {d}\n連絡先: {p}\nマイナンバー: {n}",
        "私の携帯番号は{p}です。{d}生まれ、個人番号は{n}です。",
        "{p}までお電話ください。返金{m}は{i}へ。",
        "{w}と申します。携帯は{p}、アドレスは{e}、注文番号 {o} です。",
    ),
    "hi_IN": (
        "ग्राहक: मेरी जन्म तिथि {d} है, मेरा फ़ोन {p} है, ईमेल {e}। ऑर्डर {o}",
        "बिल {o}\n{w}\nफ़ोन: {p}, ईमेल: {e}\nकार्ड नंबर: {c}",
        "जन्म तिथि: {d}\nआधार: {n}\nफ़ोन: {p}",
        "मेरा मोबाइल नंबर {p} है और आधार नंबर {n} है।",
        "कृपया मुझे {p} पर कॉल करें, रिफंड {m}।",
        "मेरा जन्म {d} को हुआ था, मोबाइल: {p}, ऑर्डर नंबर {o}",
    ),
}
UNTUNED: Mapping[str, tuple[str, ...]] = {
    "sv_SE": (
        "Hej, jag heter {w} och är född den {d}. Mitt personnummer är {n}, ring mig på {p}.",
        "Faktura {o}\n{w}\nMobil: {p}\nE-post: {e}\nBelopp {m}\nKort {c}",
        "Födelsedatum: {d}\nPersonnummer: {n}\nBankkonto: {i}",
        "Kan ni ringa upp mig? Numret är {p}. Betala tillbaka {m} till {i}.",
    ),
    "da_DK": (
        "Mit telefonnummer er {p}, og min mail er {e}. Ordre {o}.",
        "Faktura {o}\nKunde: {w}\nTlf.: {p}\nKort: {c}",
        "Fødselsdato: {d}\nKonto: {i}\nBeløb {m}",
        "Jeg er født den {d}. Ring venligst til mig på {p}.",
    ),
    "cs_CZ": (
        "Dobrý den, můj telefon je {p} a narodil jsem se {d}. Objednávka {o}.",
        "Faktura {o}\n{w}\nTelefon: {p}, e-mail: {e}\nČástka {m}\nKarta {c}",
        "Datum narození: {d}\nRodné číslo: {n}\nÚčet: {i}",
        "Zavolejte mi prosím na číslo {p}, vraťte {m} na {i}.",
    ),
    "tr_TR": (
        "Merhaba, telefon numaram {p}, e-posta adresim {e}. Sipariş {o}.",
        "Fatura {o}\n{w}\nTel: {p}\nTutar {m}\nKredi kartı: {c}",
        "Doğum tarihi: {d}\nT.C. kimlik no: {n}\nIBAN: {i}",
        "Beni {p} numarasından arayabilirsiniz, doğum tarihim {d}.",
    ),
    "ko_KR": (
        "안녕하세요, 제 전화번호는 {p}이고 이메일은 {e}입니다. 주문 {o}",
        "청구서 {o}\n{w}\n연락처: {p}\n카드번호: {c}",
        "생년월일: {d}\n주민등록번호: {n}\n휴대폰: {p}",
        "{p}로 전화 주세요. 생일은 {d}입니다.",
    ),
    "zh_CN": (
        "您好，我的手机号码是{p}，邮箱是{e}，订单 {o}。",
        "发票 {o}\n{w}\n电话：{p}\n信用卡：{c}",
        "出生日期：{d}\n身份证号码：{n}\n联系电话：{p}",
        "请拨打{p}联系我，我出生于{d}。",
    ),
    "fi_FI": (
        "Hei, puhelinnumeroni on {p} ja sähköposti {e}. Tilaus {o}.",
        "Lasku {o}\n{w}\nPuh. {p}\nSumma {m}\nKortti {c}",
        "Syntymäaika: {d}\nHenkilötunnus: {n}\nTilinumero: {i}",
        "Soittakaa minulle numeroon {p}. Olen syntynyt {d}.",
    ),
    "ro_RO": (
        "Bună ziua, numărul meu de telefon este {p}, sunt născut pe {d}.",
        "Factura {o}\n{w}\nTelefon: {p}, e-mail: {e}\nCard {c}",
        "Data nașterii: {d}\nCNP: {n}\nCont: {i}",
        "Vă rog să mă sunați la {p}, rambursați {m} în {i}.",
    ),
    "hu_HU": (
        "Jó napot, a telefonszámom {p}, születési dátumom {d}.",
        "Számla {o}\n{w}\nTelefon: {p}, e-mail: {e}\nKártya: {c}",
        "Születési idő: {d}\nSzemélyi szám: {n}\nSzámlaszám: {i}",
        "Kérem, hívjon a {p} számon a {o} rendelés ügyében.",
    ),
    "ru_RU": (
        "Здравствуйте, мой номер телефона {p}, почта {e}. Заказ {o}.",
        "Счёт {o}\n{w}\nТел.: {p}\nКарта: {c}",
        "Дата рождения: {d}\nИНН: {n}\nМобильный: {p}",
        "Позвоните мне по номеру {p}, я родился {d}.",
    ),
    "el_GR": (
        "Γεια σας, το τηλέφωνό μου είναι {p}, email {e}. Παραγγελία {o}.",
        "Τιμολόγιο {o}\n{w}\nΤηλ.: {p}\nΚάρτα: {c}",
        "Ημερομηνία γέννησης: {d}\nΑΦΜ: {n}\nIBAN: {i}",
        "Καλέστε με στο {p}, γεννήθηκα στις {d}.",
    ),
}

ORDERS = ("NW-#####", "T-20##-######", "INV-######", "RMA-####-##")
AMOUNTS = ("$#,###.##", "€ #.###,##", "£###.##", "# ### zł", "¥#,###", "R$ ###,##", "₹#,##,###.##")


class Writer:
    """Fills frames of one locale with values, and notes where they stand."""

    def __init__(self, locale: str, seed: int) -> None:
        """The same seed writes the same texts."""
        from faker import Faker

        self.random = random.Random(f"{locale} {seed}")  # noqa: S311 - texts for a benchmark
        self.fake = Faker(locale)
        self.fake.seed_instance(f"{locale} {seed}")
        self.locale = locale
        self._makers: Mapping[str, tuple[str, Callable[[], str]]] = {
            "d": ("BIRTH_DATE", self._birth),
            "n": ("NATIONAL_ID", self._national),
            "p": ("PHONE_NUMBER", lambda: str(self.fake.phone_number())),
            "e": ("EMAIL_ADDRESS", self._email),
            "c": ("CREDIT_CARD", self._card),
            "i": ("IBAN_CODE", self._iban),
            "o": ("", lambda: self.digits(self.random.choice(ORDERS))),
            "m": ("", lambda: self.digits(self.random.choice(AMOUNTS))),
            "t": ("", lambda: self.random.choice(("2026-11-03", "03.11.2026", "11/3/2026", "3 November 2026"))),
            "w": ("", lambda: str(self.fake.name())),
        }

    def write(self, frame: str) -> tuple[str, list[tuple[int, int, str]]]:
        """One text and its labelled spans."""
        pieces = frame.split("{")
        text, spans = pieces[0], []
        for piece in pieces[1:]:
            entity, make = self._makers[piece[0]]
            value = make()
            if entity:
                spans.append((len(text), len(text) + len(value), entity))
            text += value + piece[2:]
        return text, spans

    def digits(self, form: str) -> str:
        """``form`` with a digit for each ``#``, never 0."""
        return "".join(str(self.random.randint(1, 9)) if c == "#" else c for c in form)

    def _birth(self) -> str:
        day = self.fake.date_of_birth(minimum_age=18, maximum_age=90)
        language = self.locale[:2]
        forms = {
            "en": ["%m/%d/%Y", "%B %d, %Y", "%Y-%m-%d"] if self.locale == "en_US" else ["%d/%m/%Y", "%d %B %Y", "%d.%m.%y"],
            "de": ["%d.%m.%Y", "%d. %m. %y", "%d.%m.%y", "%d. %m. %Y"],
            "ja": ["%Y/%m/%d", "%Y年%m月%d日", "%Y-%m-%d"],
            "zh": ["%Y年%m月%d日", "%Y-%m-%d"],
            "ko": ["%Y년 %m월 %d일", "%Y.%m.%d", "%Y-%m-%d"],
            "hi": ["%d/%m/%Y", "%d-%m-%Y"],
            "es": ["%d/%m/%Y", "%d-%m-%Y"],
            "nl": ["%d-%m-%Y", "%d/%m/%Y"],
            "cs": ["%d. %m. %Y", "%d.%m.%Y"],
            "sv": ["%Y-%m-%d", "%y%m%d"],
        }.get(language, ["%d.%m.%Y", "%d/%m/%Y"])
        return str(day.strftime(self.random.choice(forms)))

    def _national(self) -> str:
        fake: Any = self.fake
        if self.locale == "ja_JP":
            return self.digits("############") if self.random.random() < 0.6 else self.digits("#### #### ####")
        if self.locale == "hi_IN":
            return self.digits("#### #### ####")
        if self.locale == "de_DE":
            return self.digits("###########") if self.random.random() < 0.5 else self.digits("## ### ### ###")
        if self.locale == "es_ES":
            return str(fake.nif() if self.random.random() < 0.5 else fake.nie())
        if self.locale == "pt_BR":
            return str(fake.cpf() if self.random.random() < 0.6 else fake.ssn())
        return str(fake.ssn())

    def _email(self) -> str:
        domain = self.fake.domain_name()
        local = self.random.choice(("anna", "j.doe", "max-m", "o.brien", "li+shop", "JAN.K", "łukasz", "jörg", "user_77"))
        return f'"{local}"@{domain}' if self.random.random() < 0.05 else f"{local}@{domain}"

    def _card(self) -> str:
        number = str(self.fake.credit_card_number())
        joint = self.random.choice(("", " ", "-"))
        return joint.join(number[at : at + 4] for at in range(0, len(number), 4)) if len(number) == 16 else number

    def _iban(self) -> str:
        number = str(self.fake.iban())
        return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if self.random.random() < 0.5 else number


def letters(seed: int, each: int) -> Iterator[Line]:
    """``each`` texts of every frame whose turn it is, by locale."""
    for name, locales in (("letters", TUNED), ("untuned", UNTUNED), ("further", FURTHER)):
        for locale, frames in locales.items():
            writer = Writer(locale, seed)
            for frame in frames[(seed + 1) % 2 :: 2]:
                for _ in range(each):
                    text, spans = writer.write(frame)
                    yield {"set": name, "text": text, "template": locale, "spans": spans}


# Spellings that keyboards, mail programs and other machines make. Each turns a character into another one or several.
def _shifted(zero: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(zero + int(c)) if c.isdigit() and c.isascii() else c for c in text)


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else "\u3000" if c == " " else c for c in text)


SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "full width": _wide,
    "arabic-indic": _shifted(0x660),
    "persian": _shifted(0x6F0),
    "devanagari": _shifted(0x966),
    "bengali": _shifted(0x9E6),
    "thai": _shifted(0xE50),
    "mathematical": _shifted(0x1D7CE),
    "narrow no-break space": lambda text: text.replace(" ", "\u202f"),
    "no-break space": lambda text: text.replace(" ", "\xa0"),
    "thin space": lambda text: text.replace(" ", "\u2009"),
    "zero width": "\u200b".join,
    "soft hyphen": lambda text: text[:3] + "\xad" + text[3:],
    "word joiner": lambda text: text[:4] + "\u2060" + text[4:],
    "direction marks": lambda text: "\u202a" + text[:2] + "\u200e" + text[2:] + "\u202c",
    "hyphens": lambda text: text.replace("-", "\u2011"),
    "entities": lambda text: "".join(f"&#{ord(c)};" if c in "@.+" else c for c in text),
    "entities of all": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "percent": lambda text: text.replace("@", "%40").replace("+", "%2B").replace(" ", "%20"),
    "percent twice": lambda text: text.replace("@", "%2540").replace("+", "%252B").replace(" ", "%2520"),
    "at sign": lambda text: text.replace("@", "\uff20"),
    "small at sign": lambda text: text.replace("@", "\ufe6b"),
    "escapes": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
}


def spelled(seed: int, each: int) -> Iterator[Line]:
    """One value a text, in every spelling: a card, an IBAN, phones, an e-mail."""
    writer = Writer("en_GB", seed)
    for spelling, spell in SPELLINGS.items():
        for frame in ("card {c}", "{i}", "{e}", "+44 20 79## ####", "phone: 0131 496 ####"):
            for _ in range(each):
                if "{" in frame:
                    whole, spans = writer.write(frame)
                    before, value, entity = whole[: spans[0][0]], whole[spans[0][0] :], spans[0][2]
                else:
                    before, value = ("phone: ", frame[7:]) if frame.startswith("phone") else ("", frame)
                    value, entity = writer.digits(value), "PHONE_NUMBER"
                spelled = spell(value)
                quote = '{"note": "' if spelling == "escapes" else "Write: "
                text = f"{quote}{before}{spelled} and so on"
                start = len(quote + before)
                yield {"set": "spellings", "text": text, "template": spelling, "spans": [(start, start + len(spelled), entity)]}
