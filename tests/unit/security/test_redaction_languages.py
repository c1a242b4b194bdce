"""Phone numbers, birth dates and registers' numbers behind their words in languages that the first tables lacked (S5).

Every value is made up, or a register's published example.
"""

import re

import pytest

from app.security.redaction.redactor import Redactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
REDACTOR = Redactor(b"a key for the tests of languages")
GOES = [
    # Scripts of South Asia
    "என் தொலைபேசி எண் «98410 12345», ஆதார் எண் «2341 2341 2346»",
    "నా ఫోన్ నంబర్ «98480 12345» మరియు ఆధార్ సంఖ్య «2341 2341 2346»",
    "ನನ್ನ ಮೊಬೈಲ್ ಸಂಖ್ಯೆ «98450 12345»",
    "എന്റെ ഫോൺ നമ്പർ «94470 12345» ജനനത്തീയതി «12/03/1980»",
    "મારો મોબાઇલ નંબર «98250 12345» છે, જન્મ તારીખ «12/03/1980»",
    "ਮੇਰਾ ਫ਼ੋਨ ਨੰਬਰ «98140 12345» ਹੈ",
    "জাতীয় পরিচয়পত্র নম্বর «১৯৮০১২৩৪৫৬৭৮৯»",
    "නාගරික හැඳුනුම්පත් අංකය «198012345678»",
    "नागरिकता नं «12-01-75-12345»",
    "شناختی کارڈ نمبر «35202-1234567-1» ہے",
    # of South-East and East Asia
    "ថ្ងៃខែឆ្នាំកំណើត «១២/០៣/១៩៨០»",
    "မွေးသက္ကရာဇ် «၁၂/၀၃/၁၉၈၀»",
    "kad pengenalan «800312-14-5677»",
    "ipinanganak noong «Marso 12, 1980»",
    "我嘅電話係 «9123 4567»，香港身份證 «G123456(A)»",
    "出生日期：«民國38年12月31日»",
    "電話:«０３ー１２３４ー５６７８»",
    "Миний утас «9911 2233»",
    # of the Caucasus and Central Asia
    "ჩემი ტელეფონის ნომერია «599 12 34 56», დაბადების თარიღი «12.03.1980»",
    "Իմ հեռախոսահամարն է «091 12 34 56», ծննդյան ամսաթիվ «12.03.1980»",
    "doğum tarixi «12.03.1980»",
    "ЖСН «800312300123», туған күнім «12.03.1980»",
    "tug'ilgan sanam «12.03.1980», JSHSHIR «31203800123456»",
    # of Europe
    "Маё тэлефон «29 123 45 67», дата нараджэння «12.03.1980»",
    "ЈМБГ «0101006500006», рођен «12.03.1980»",
    "ЕМБГ «0101006500006», датум на раѓање «12.03.1980»",
    "rojen «12. 3. 1980»",
    "TAJ számom «123 456 788»",
    "datëlindja «12.03.1980»",
    "Mans tālrunis ir «29123456», dzimšanas datums «16.11.1975»",
    "Minu telefoninumber on «5123 4567»",
    "syntymäaikani «13.10.1952»",
    "Símanúmerið mitt er «612 3456»",
    "dáta breithe «12/03/1980»",
    "dyddiad geni «12/03/1980»",
    "El meu telèfon és «612 34 56 78», vaig néixer el «12/03/1980»",
    "O meu móbil é «612 34 56 78», nacín o «12/03/1980»",
    "Nire telefonoa «612 34 56 78» da, jaioteguna «1980/03/12»",
    "Meng Telefonsnummer ass «621 123 456», matricule «1983022020079»",
    "data tat-twelid «12/03/1980»",
    "naskiĝdato «12/03/1980»",
    # Calls, cards and forms of numbers that a third set of languages brought
    "Мобільний: «459-23-20», ІПН: «2765114602», картка: «5555 5555 5555 4444»",
    "Зателефонуйте мені за номером «44 123 45 67»",
    "Обадете ми се на «88 123 4567», роден съм на «24/02/1962»",
    "Nazovite me na «91 123 4567», kartica: «500000000009»",
    "Zavolajte mi na «905 123 456», narodila som sa «24/02/1962»",
    "Pokličite me na «40 123 456»",
    "Paskambinkite man «612 34567», gimiau «24/02/1962», kortelė: «500000000009»",
    "Tālr.: «+(371) 42518795», zvaniet uz «2912 3456»",
    "Palun helistage mulle numbril «5123 4567»",
    "Telm.: «929 314 278», liguem-me para o «(351) 961 273 762»",
    "Natel: «79 123 45 67»",
    "Márquenme al «55 1234 5678»",
    "Hubungi saya di «812 3456 7890»",
    "โทรหาฉันที่ «0 2564 8967», โทร. «2 564 8967»",
    "טל': «3106159», נולדתי ב-«04.01.1999»",
    "Հեռ.՝ «(10) 120784», ծննդյան ամսաթիվ՝ «11.03.1943», զանգահարեք ինձ «289.16747»",
    "ტელ: «343 546 966», დამირეკეთ «599 12 34 56»",
    "«29/02/1968» tarixində doğulmuşam, mənə zəng edin: «50 123 45 67»",
    "Usuku lokuzalwa: «21.08.1969», iselula: «72 123 4567»",
    # of Africa and the Near East
    "kitambulisho namba «22334455», nilizaliwa «12/03/1980»",
    "my ID-nommer is «8003125009087»",
    "ותעודת הזהות שלי «039337423»",
    "والهوية «١٠٥٨٥٢٩٩٤٠»",
    "placa «ABC1D23»; patente «BBCL34»; plate «7ABC123»; patente «U1A234567B»",
    # Forms, cards and accounts
    "BEGIN:VCARD\nBDAY:«1980-03-12»",
    "тел/факс «(495) 123-45-67»",
    "پاسپورٹ نمبر «AB1234567»",
    "SV-Nr. «65 180280 J 007»",
    "RFC «VACE-460910-SX6»",
    "N° de compte «00012345678» clé RIB 46",
    "BIC DEUTDEFF, Konto «1234567890» BLZ «50010517»",
    "Prüfziffer «123», cryptogramme «123»",
    # Insurance
    "health insurance number «123456789», policy number «12345678»",
    "Mi NSS es «12345678903»",
    "Cartão SUS «700 0001 2345 6789»",
    "DOB «1 Jan 80»",
    "Teléfono: «011 15-2345-6789»",
    "Tel: «0558 614 49 05»",
    "«020 7946 0123» «0558 614 49 05»",
]
STAYS = [
    "رقم الطلب ١٢٣٤٥٦٧٨٩٠ والمبلغ ١٬٢٣٤٫٥٦ ريال",
    "შეკვეთის ნომერი 1234567890, ფასი 129.00 ₾",
    "订单号码 1234567890, 房间号码 1203, 第12章",
    "ஆர்டர் எண் 1234567890",
    "ఆర్డర్ నంబర్ 1234567890",
    "অর্ডার নম্বর 1234567890 তারিখ ১২/০৩/২০২৬",
    "הזמנה מספר 1234567890 מיום 12.03.2026",
    "شماره سفارش 1234567890 تاریخ 1404/09/02",
    "Buyurtma raqami 1234567890, 12.03.2026",
    "Sifariş nömrəsi 1234567890",
    "Захиалгын дугаар 1234567890",
    "Nomor pesanan 1234567890; harga Rp 1.299.000",
    "Замовлення № 1234567890 від 12.03.2026",
    "Αριθμός παραγγελίας 1234567890",
    "Numri i porosisë 1234567890; nr. i faturës 2026112345",
    "Telefonumsatz 2025: 12.345.678 Euro; Telefonanlage Modell 4500012345",
    "Born to Run (1975); rojena ideja 2026",
    "ЖСН және ИИН туралы заң 2013 ж. 21 мамыр № 94-V",
    "trace_id=c0d563012284a5820fe12ab0b31f365a span_id=00625781fdf0ead9",
    "placa RTX4090, placa de vídeo e placa-mãe B550; la patente 2024; name plate 12345",
    "P.IVA 00743110157, Partita IVA 00743110157",
    "Konto 1200 im SKR03, Prüfziffer 7, Kontonummer fehlt",
    "Policy number one: be kind. Insurance costs 1,234,567 dollars a year in 2026",
    "§ 433 Abs. 1 BGB; BGH, Urt. v. 12.03.2020 – VIII ZR 123/19, NJW 2020, 1234",
    "Федеральный закон от 27.07.2006 № 152-ФЗ, ст. 9, ч. 4",
    "Zavolajte nám kvôli objednávke 1234567; nazovite nas u vezi narudžbe 1234567",
    "Paskambinkite dėl užsakymo 1234567; zvaniet par pasūtījumu 1234567; helistage tellimuse 1234567 kohta",
    "Зателефонуйте щодо замовлення 1234567; обадете се за поръчка 1234567",
    "โทรเรื่องคำสั่งซื้อ 1234567890; Sifariş 1234567 haqqında zəng edin; התקשרו בעניין הזמנה 1234567",
    "Karta gwarancyjna nr 2026123456; kart 1234567890; Marcar el pedido 1234567 como pagado",
    "民法第709条、個人情報の保護に関する法律(平成15年法律第57号)第2条第1項",
]


@pytest.mark.parametrize("line", GOES)
def test_a_persons_number_goes_behind_its_word_in_more_languages(line: str) -> None:
    text = line.replace("«", "").replace("»", "")
    assert TOKEN.sub("<>", REDACTOR.redact(text, tenant="acme")) == re.sub("«[^»]*»", "<>", line)


@pytest.mark.parametrize("line", STAYS)
def test_orders_laws_and_prices_of_those_languages_stay(line: str) -> None:
    assert REDACTOR.redact(line, tenant="acme") == line
