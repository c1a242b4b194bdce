"""A text's letters or its commonest words give its language."""

import pytest

from evals.languages import language, surely

SENTENCES = {
    "en": "Your parcel will reach you in three days, and you can return it.",
    "de": "Ihr Paket ist in drei Tagen bei Ihnen, und Sie können es nicht mehr ändern.",
    "es": "El paquete está en camino y puede devolverlo en un plazo de treinta días.",
    "fr": "Votre colis est en route et vous pouvez nous le renvoyer dans un mois.",
    "it": "Il pacco è stato spedito e può essere restituito in un mese.",
    "nl": "Het pakket is onderweg en u kunt het niet meer wijzigen.",
    "pt": "O pacote já foi enviado e você pode devolver no prazo de um mês, mas não depois.",
    "ca": "El paquet és en camí i podeu tornar-lo amb aquesta etiqueta, si ha arribat.",
    "da": "Pakken er på vej, og du kan sende den tilbage, hvis den ikke passer til dig eller er gået i stykker fra start af.",
    "sv": "Paketet är på väg och du kan skicka tillbaka det om det inte passar eller är trasigt.",
    "pl": "Paczka jest w drodze i może zostać zwrócona, jeśli nie pasuje lub jest uszkodzona.",
    "ro": "Coletul este pe drum și poate fi returnat dacă nu vă place sau este deteriorat.",
    "tr": "Paket yolda ve daha sonra iade edilebilir, ama lütfen bir etiket için bize yazın.",
    "id": "Paket anda sudah dikirim dan bisa dikembalikan jika tidak sesuai dengan pesanan.",
    "vi": "Gói hàng đã được gửi và bạn có thể trả lại trong một tháng.",
    "ru": "Ваш заказ уже в пути, и вы можете вернуть его, если он не подошёл.",
    "uk": "Ваше замовлення вже в дорозі, і ви можете повернути його, якщо воно не підійшло.",
    "ar": "تم إرسال الطلب من المخزن، ويمكن إعادته في شهر إذا لم يكن مناسبا.",
    "fa": "سفارش شما ارسال شده است و می توانید آن را تا یک ماه پس دهید.",
    "hi": "आपका पार्सल भेजा गया है और आप इसे एक महीने में वापस कर सकते हैं।",
    "ja": "NW-10001はGORE-TEXのジャケットで、明日届きます。",
    "zh": "您的 Summit 外套已经寄出，明天送达。",
    "ko": "주문하신 Summit 재킷은 내일 도착합니다.",
    "th": "สินค้า Summit ของคุณจะถึงพรุ่งนี้",
    "el": "Το δέμα Summit φτάνει αύριο.",
    "he": "החבילה Summit תגיע מחר.",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_in_its_language(code: str) -> None:
    """V5: an answer in Catalan was Spanish without a doubt, one in Danish English, and one in Japanese nothing."""
    assert language(SENTENCES[code]) == code
    assert surely(SENTENCES[code]) in (code, None)


@pytest.mark.parametrize("text", ["", "…", "NW-10001", "Summit GTX 400", "0 9 ?"])
def test_a_text_without_words_is_in_none(text: str) -> None:
    assert (language(text), surely(text)) == (None, None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The tent is called 山の家 and you can return it.", "en"),
        ("\u304b\u3099っこいい Summit", "ja"),
        ("这款「さくら」帐篷在日本设计，三天之内送到", "zh"),
    ],
)
def test_a_name_in_other_letters_does_not_decide(text: str, code: str) -> None:
    assert language(text) == code
