"""Sentences in a third set of languages, as `letters` has them; each was written before any pattern was tuned on it."""

from collections.abc import Mapping

FURTHER: Mapping[str, tuple[str, ...]] = {
    "uk_UA": (
        "Доброго дня, мій номер телефону {p}, пошта {e}. Замовлення {o}.",
        "Рахунок {o}\n{w}\nТел.: {p}\nКартка: {c}",
        "Дата народження: {d}\nІПН: {n}\nМобільний: {p}",
        "Зателефонуйте мені за номером {p}, я народилася {d}.",
    ),
    "hr_HR": (
        "Dobar dan, moj broj telefona je {p}, e-mail {e}. Narudžba {o}.",
        "Račun {o}\n{w}\nTel.: {p}\nKartica: {c}",
        "Datum rođenja: {d}\nOIB: {n}\nIBAN: {i}",
        "Nazovite me na {p}, rođen sam {d}.",
    ),
    "sk_SK": (
        "Dobrý deň, moje telefónne číslo je {p}, mail {e}. Objednávka {o}.",
        "Faktúra {o}\n{w}\nTelefón: {p}\nKarta: {c}",
        "Dátum narodenia: {d}\nRodné číslo: {n}\nÚčet: {i}",
        "Zavolajte mi na {p}, narodil som sa {d}.",
    ),
    "bg_BG": (
        "Здравейте, телефонният ми номер е {p}, имейл {e}. Поръчка {o}.",
        "Фактура {o}\n{w}\nТел.: {p}\nКарта: {c}",
        "Дата на раждане: {d}\nЕГН: {n}\nIBAN: {i}",
        "Обадете ми се на {p}, роден съм на {d}.",
    ),
    "sl_SI": (
        "Pozdravljeni, moja telefonska številka je {p}, e-pošta {e}. Naročilo {o}.",
        "Račun {o}\n{w}\nTel.: {p}\nKartica: {c}",
        "Datum rojstva: {d}\nEMŠO: {n}\nTRR: {i}",
        "Pokličite me na {p}, rojena sem {d}.",
    ),
    "lt_LT": (
        "Sveiki, mano telefono numeris {p}, el. paštas {e}. Užsakymas {o}.",
        "Sąskaita {o}\n{w}\nTel. {p}\nKortelė: {c}",
        "Gimimo data: {d}\nAsmens kodas: {n}\nSąskaita: {i}",
        "Paskambinkite man {p}, gimiau {d}.",
    ),
    "lv_LV": (
        "Labdien, mans tālruņa numurs ir {p}, e-pasts {e}. Pasūtījums {o}.",
        "Rēķins {o}\n{w}\nTālr.: {p}\nKarte: {c}",
        "Dzimšanas datums: {d}\nPersonas kods: {n}\nKonts: {i}",
        "Zvaniet man uz {p}, esmu dzimis {d}.",
    ),
    "et_EE": (
        "Tere, minu telefoninumber on {p}, e-post {e}. Tellimus {o}.",
        "Arve {o}\n{w}\nTel: {p}\nKaart: {c}",
        "Sünniaeg: {d}\nIsikukood: {n}\nKonto: {i}",
        "Palun helistage mulle numbril {p}, olen sündinud {d}.",
    ),
    "no_NO": (
        "Hei, telefonnummeret mitt er {p}, e-post {e}. Bestilling {o}.",
        "Faktura {o}\n{w}\nTlf: {p}\nKort: {c}",
        "Fødselsdato: {d}\nFødselsnummer: {n}\nKonto: {i}",
        "Ring meg på {p}, jeg er født {d}.",
    ),
    "id_ID": (
        "Halo, nomor telepon saya {p}, email {e}. Pesanan {o}.",
        "Faktur {o}\n{w}\nTelp: {p}\nKartu: {c}",
        "Tanggal lahir: {d}\nNIK: {n}\nHP: {p}",
        "Hubungi saya di {p}, saya lahir {d}.",
    ),
    "vi_VN": (
        "Xin chào, số điện thoại của tôi là {p}, email {e}. Đơn hàng {o}.",
        "Hóa đơn {o}\n{w}\nĐT: {p}\nThẻ: {c}",
        "Ngày sinh: {d}\nDi động: {p}",
        "Gọi cho tôi theo số {p}, tôi sinh ngày {d}.",
    ),
    "th_TH": (
        "สวัสดีค่ะ เบอร์โทรของฉันคือ {p} อีเมล {e} คำสั่งซื้อ {o}",
        "ใบแจ้งหนี้ {o}\n{w}\nโทร. {p}\nบัตร: {c}",
        "วันเกิด: {d}\nเลขประจำตัวประชาชน: {n}\nมือถือ: {p}",
        "โทรหาฉันที่ {p} ฉันเกิดวันที่ {d}",
    ),
    "he_IL": (
        "שלום, מספר הטלפון שלי הוא {p}, אימייל {e}. הזמנה {o}.",
        "חשבונית {o}\n{w}\nטל': {p}\nכרטיס: {c}",
        "תאריך לידה: {d}\nתעודת זהות: {n}\nנייד: {p}",
        "התקשרו אליי למספר {p}, נולדתי ב-{d}.",
    ),
    "ar_SA": (
        "مرحبا، رقم هاتفي {p} والبريد {e}. الطلب {o}.",
        "فاتورة {o}\n{w}\nهاتف: {p}\nبطاقة: {c}",
        "تاريخ الميلاد: {d}\nرقم الهوية: {n}\nجوال: {p}",
        "اتصل بي على {p}، ولدت في {d}.",
    ),
    "fa_IR": (
        "سلام، شماره تلفن من {p} است، ایمیل {e}. سفارش {o}.",
        "فاکتور {o}\n{w}\nتلفن: {p}\nکارت: {c}",
        "تاریخ تولد: {d}\nکد ملی: {n}\nموبایل: {p}",
        "با من به شماره {p} تماس بگیرید، متولد {d} هستم.",
    ),
    "bn_BD": (
        "হ্যালো, আমার ফোন নম্বর {p}, ইমেইল {e}। অর্ডার {o}।",
        "চালান {o}\n{w}\nফোন: {p}\nকার্ড: {c}",
        "জন্ম তারিখ: {d}\nমোবাইল: {p}",
        "আমাকে {p} নম্বরে কল করুন, আমার জন্ম {d}।",
    ),
    "sq_AL": (
        "Përshëndetje, numri im i telefonit është {p}, email {e}. Porosia {o}.",
        "Faturë {o}\n{w}\nTel: {p}\nKarta: {c}",
        "Datëlindja: {d}\nCelular: {p}",
        "Më telefononi në {p}, kam lindur më {d}.",
    ),
    "ka_GE": (
        "გამარჯობა, ჩემი ტელეფონის ნომერია {p}, ელფოსტა {e}. შეკვეთა {o}.",
        "ინვოისი {o}\n{w}\nტელ: {p}\nბარათი: {c}",
        "დაბადების თარიღი: {d}\nმობილური: {p}",
        "დამირეკეთ ნომერზე {p}, დავიბადე {d}.",
    ),
    "hy_AM": (
        "Բարև, իմ հեռախոսահամարն է {p}, էլ. փոստ {e}: Պատվեր {o}:",
        "Հաշիվ {o}\n{w}\nՀեռ.՝ {p}\nՔարտ՝ {c}",
        "Ծննդյան ամսաթիվ՝ {d}\nԲջջային՝ {p}",
        "Զանգահարեք ինձ {p} համարով, ես ծնվել եմ {d}:",
    ),
    "az_AZ": (
        "Salam, telefon nömrəm {p}, e-poçt {e}. Sifariş {o}.",
        "Qaimə {o}\n{w}\nTel: {p}\nKart: {c}",
        "Doğum tarixi: {d}\nMobil: {p}",
        "Mənə {p} nömrəsinə zəng edin, {d} tarixində doğulmuşam.",
    ),
    "zu_ZA": (
        "Sawubona, inombolo yami yocingo ngu-{p}, i-imeyili {e}. I-oda {o}.",
        "I-invoyisi {o}\n{w}\nUcingo: {p}\nIkhadi: {c}",
        "Usuku lokuzalwa: {d}\nIselula: {p}",
    ),
    "nl_BE": (
        "Hallo, mijn gsm-nummer is {p}, mail {e}. Bestelling {o}.",
        "Factuur {o}\n{w}\nTel.: {p}\nKaart: {c}",
        "Geboortedatum: {d}\nRijksregisternummer: {n}\nRekening: {i}",
        "Bel mij op {p}, geboren op {d}.",
    ),
    "de_CH": (
        "Grüezi, mini Nummer isch {p}, Mail {e}. Bestellung {o}.",
        "Rechnung {o}\n{w}\nTel. {p}\nKarte: {c}",
        "Geburtsdatum: {d}\nAHV-Nummer: {n}\nKonto: {i}",
        "Rufen Sie mich unter {p} an, ich bin am {d} geboren.",
    ),
    "pt_PT": (
        "Olá, o meu telemóvel é {p}, email {e}. Encomenda {o}.",
        "Fatura {o}\n{w}\nTelm.: {p}\nCartão: {c}",
        "Data de nascimento: {d}\nNIF: {n}\nIBAN: {i}",
        "Liguem-me para o {p}, nasci a {d}.",
    ),
    "es_MX": (
        "Hola, mi celular es {p}, correo {e}. Pedido {o}.",
        "Factura {o}\n{w}\nTel: {p}\nTarjeta: {c}",
        "Fecha de nacimiento: {d}\nCURP: {n}\nCelular: {p}",
        "Márquenme al {p}, nací el {d}.",
    ),
    "zh_TW": (
        "您好,我的手機號碼是{p},信箱{e},訂單 {o}。",
        "發票 {o}\n{w}\n電話:{p}\n信用卡:{c}",
        "出生日期:{d}\n身分證字號:{n}\n手機:{p}",
        "請撥打{p}聯絡我,我出生於{d}。",
    ),
}
