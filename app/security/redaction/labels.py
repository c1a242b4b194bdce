r"""Words of many languages that announce a phone number, birth date or national id.

RE2's ``\b`` knows ASCII alone, so words of other scripts are listed apart and may stand anywhere. `between` matches
the words that can stand between a label and its value ("mój telefon to …", "il mio cellulare è …"): any words, as no
list would be complete.
"""

_WORD = r"[^\s0-9,;:=#()<>{}\[\]\"]+"
_COPULA = r"(?:は|が|の|番号|字號|字号|号码|號碼|号|是|为|為|係|번호|는|은|이|가|नंबर|संख्या|क्रमांक|है|पर|「|:|[ \t])"

# What goes on right behind a word in scripts that part no words ("โทรหาฉันที่ 0 2…"), and what Hebrew and Zulu join to a value.
_UNSPACED = r"[\x{E00}-\x{EFF}\x{1000}-\x{109F}\x{1780}-\x{17FF}]{0,16}"
_PREFIX = r"(?:(?:[בלה]|ngu|ku)-)?"


def between(most: int) -> str:
    """At most ``most`` words, then what joins a label and its value."""
    joint = r"(?:[ \t\r]*[:=#\x{55D}\x{1366}]+[ \t\r]*\n?[ \t]*|[ \t]{1,3}|[ \t]*\? {1,3})"  # Armenia's and Ethiopia's colons too
    return rf"(?:[ \t]+{_WORD}){{0,{most}}}[\"')\]]?{joint}{_COPULA}{{0,6}}"


def behind(latin: str, others: str, most: int) -> str:
    """A label and what parts it from its value, for `detectors.Kind.after`. Scripts without blanks have none between."""
    apart = f"{between(most)}{_PREFIX}"
    return rf"(?i:\b(?:{latin})\.?{apart}|(?:{others})\.?{_UNSPACED}(?:{apart}|{_COPULA}{{0,8}}))"


CARD = (
    r"cards?|credit ?cards?|debit ?cards?|cc|visa|mastercard|maestro|amex|karten?(?:nummer|nr)?|kreditkarten?(?:nummer|"
    r"nr)?|carte(?: bancaire| bleue)?|cb|carta|tarjeta|"
    r"kort(?:nummer|et)?|cartão|kaart(?:nummer)?|creditcard|kart[aęy]|kartu|kártya|kartyaszám|kart(?:ı|ım|ın)?|kortti|"
    r"platební karta|karty|thẻ|kart(?:a|e|ica|ice|ici|icu|ës|ën|ela)|kortel[ėę]s?|kaardi?|ikhadi|cardul|kreditnakart[aeiu]|"
    r"(?:bankovn|platobn|kreditn|plačiln)[aáeiý] kart(?:a|y|e|u|ica)|kadi?|kaarti"
)
CARD_ELSEWHERE = (
    r"карт(?:[аыуі]|к[аиіу]|иц[аеу]|ичк[аи])|κάρτας?|カード|信用卡|银行卡|銀行卡|卡号|카드|कार्ड|بطاقة|کارت|כרטיס|บัตร|"
    r"ບັດ|កាត|ကတ်|ካርድ|քարտ[ա-և]{0,3}|ბარათ[ა-ჰ]{0,3}|কার্ড|கார்டு|కార్డు?|ಕಾರ್ಡ್|കാർഡ്|કાર્ડ|ਕਾਰਡ|කාඩ්"
)
PHONE = (  # things to call
    r"phones?|telephones?|ph|mob|kom|ruf(?:nr)?|tel|tél|mobiles?|cell|cell ?phones?|whatsapp|fax|faxnummer|sms|hotline|"
    r"landline|desk|"
    r"direct line|"
    r"telefon(?:[a-z\x{DF}-\x{17F}]{0,3}|s?n[uo]mm?er(?:et)?|nr|numret|inumber|szám[a-z]{0,3}|szama|isch)|handy(?:nummer|nr)?|"
    r"mobil(?:nummer|nr|e|telefon|en|szám|numret)?|festnetz(?:nummer)?|rufnummer|durchwahl|telefax|"
    r"téléphone|portable|fixe|teléfono|móvil|celular|telefono|cellulare|fisso|recapito|telefone|telemóvel|fone|zap|"
    r"telefoon(?:nummer)?|mobiel(?:e)?|gsm|tlf|tfn|tlfnr|telefonnumret|telefonnummeret|puhelin(?:numero|numeroni)?|"
    r"kännykkä|gsm-numero|"
    r"komórk[aię]|komórkowy|mobilní|telefónne|cep|mobitel[a-z]{0,3}|telèfon|mòbil|móbil|tālru[nņ][a-zī]{1,4}|"
    r"nömrəm|raqamim|símanúmer(?:ið)?|farsími(?:nn)?|selfoon(?:nommer)?|(?:uimhir )?(?:fóin|ghutháin)|"
    r"ffôn|symudol|(?:nambari ya )?simu|[iu]?yocingo|selpon|telepono|fóònù|ekwentị|wayar|"
    r"telepon|hp|nomor saya|điện thoại|telm|tālr|tālrunis|natel(?:nummer)?|cel|cels|teléf|tfno|tlfno|telefown|mowbajl|"
    r"ucingo|iselula|umakhalekhukhwini|selular|ponsel|gsm-nummer|telefonas|telefono nr|kontakttelefon|cellulaire|"
    r"contact (?:number|no|details|phone)|call ?back|numer kontaktowy|"
    r"(?:my|mon|mi|mio|meu|mijn|meine|mein|mój|moje|min|mit|mitt|můj|minun|meu|nossa?|notre|our|your|his|her|their) "
    r"(?:new |direct |work |home |privat[ea]? )?(?:number|numéro|número|numero|nummer|numer|číslo|nr)"
)
PHONE_ELSEWHERE = (
    r"[\x{260E}\x{1F4DE}\x{1F4F1}]|телефон[а-яіїє]{0,4}|моб(?:ильн[а-я]{2,3}|\.)|тел\.?|мо[йий] номер|моят номер|"
    r"факс[а-я]{0,2}|τηλέφων[οόά]|τηλ\.?|κινητό|κιν|電話|"
    r"携帯|連絡先|ファックス|电话|"
    r"手机|手機|联系方式|聯絡|"
    r"전화|휴대폰|휴대전화|핸드폰|연락처|फ\x{93C}?ोन|\x{95E}ोन|मोबा[इई]ल|दूरभाष|संपर्क|(?:मेरा|"
    r"मेरे) नंबर|व्हाट्सएप|هاتف|جوال|موبايل|محمول|تلفن|"
    r"موبایل|تلفون|رقمي|فون|טלפון|נייד|פלאפון|โทรศัพท์|โทร|มือถือ|เบอร์|ໂທ|ມືຖື|ទូរស័ព្ទ|ဖုန်း|ስልክ|"
    r"தொலைபேசி|கைபேசி|மொபைல்|ఫోన్|ఫోను|మొబైల్|ಫೋನ್|ಮೊಬೈಲ್|ದೂರವಾಣಿ|ഫോൺ|മൊബൈൽ|ફોન|મોબાઇલ|મોબાઈલ|ਫ\x{A3C}?ੋਨ|\x{A5E}ੋਨ|ਮੋਬਾਈਲ|ଫୋନ|"
    r"ফোন|মোবাইল|দূরভাষ|දුරකථන|ජංගම|ტელეფონ[ა-ჰ]{0,5}|მობილურ[ა-ჰ]{0,4}|հեռախոս[ա-և]{0,8}|բջջային|"
    r"тэлефон[а-яіў]{0,4}|утас[а-я]{0,5}|моб(?:илен|ільн)[а-яіїє]{0,3}|ұялы|ტელ|მობ|հեռ|բջջ|տել|טל['\x{5F3}\x{2019}.]|"
    r"סלולרי|סלולארי|וואטסאפ|واتساب|واتس ?اپ|دورنگار|কল নম্বর|ମୋବାଇଲ୍"
)
CALL = (  # what is done with them
    r"call|calls|called|ring|dial|text|texts|sms|messages?|reach|reached|reachable|contact|phone|answering|registered|"
    r"hold of me|"
    r"anrufen|rufe?n?|rückruf|zurückrufen|erreichen|erreichbar|erreicht|kontaktieren|melden|"
    r"llamar(?:me|nos)?|llám[ea](?:me|nos|n|nme|nnos)?|llame[n]?|contactar(?:me|nos)?|"
    r"appele[rz](?:-moi|-nous)?|rappele[rz](?:-moi|-nous)?|joindre|contacte[rz](?:-moi)?|joignable|"
    r"chiam(?:i|ami|are|armi|ate|atemi)|richiam(?:i|ami|are|armi)|contatt(?:are|armi|arci|atemi|ami|i)|telefonare|telefonarmi|"
    r"ligar|ligue|liga|ligar-me|ligue-me|chama|chamar|contatar|contactem?|"
    r"bel|bellen|terugbellen|bereiken|bereikbaar|"
    r"dzwonić|zadzwonić|oddzwonić|dzwoń|zadzwoń|oddzwoń|kontakt|"
    r"ringa|ringe|ring(?:er)?|nås|nå|kontakta|kontakte|soita|soittaa|volat|volejte|zavolejte|zavolat|kontaktujte|hívjon|"
    r"hívj[ao]n?|sunați|sunati|"
    r"arayın|arayabilirsiniz|ara|hubungi|gọi|zavola[jť](?:te)?|zavolaj(?:te)?|nazovite|nazvati|zovite|pokliči(?:te)?|pokličete|"
    r"(?:pa)?skambin(?:kite|ti|k)|(?:pie)?zvan(?:iet|ī|īt)|helista(?:ge|da)?|tawagan|tumawag|telefononi|thirrni|zəng|apelați|"
    r"márquen?me|marcar|marque|liguem(?:-me|-nos)?|ligar-nos|ċempel|ċemplu|ffoniwch|glaoigh|piga|nipigie|skakel|hringdu|"
    r"hringið|hringja|"
    r"truqueu|trucar|deitu|voku|urufen|ngishayele|shayela|ringja|kontaktoni|contactați|kontaktirajte|susisiekite|sazinieties"
)
CALL_ELSEWHERE = (
    r"позвон[а-я]{1,5}|звон[а-я]{1,5}|набер[а-я]{1,5}|свя[жз][а-я]{1,8}|(?:за|пере)?телефонуй[а-яіїє]{0,4}|дзвон[а-яіїє]{1,5}|"
    r"обад[а-я]{2,5}|(?:по|на)зов[а-я]{2,5}|јавете|свртете|патэлефануй[а-яў]{0,4}|қоңырау|хабарлас[а-яіңғүұқөһә]{0,6}|"
    r"залга[а-я]{0,5}|"
    r"καλέστε|拨打|撥打|致电|致電|联系我|聯絡我|اتصل|الاتصال|تماس|ת?התקשר[ויה]?|תתקשר[וי]?|להתקשר|ת?חייגו?|"
    r"զանգ[ա-և]{1,10}|(?:დამი|დაგვი|და)რეკ[ა-ჰ]{1,4}|কল|যোগাযোগ|அழை[\x{B80}-\x{BFF}]{0,8}|కాల్|ಕರೆ|വിളിക്ക|કૉલ|કોલ|ਕਾਲ|අමතන්න|"
    r"ติดต่อ|ហៅ|ခေါ်|ደውል[\x{1200}-\x{137F}]{0,3}|کال|رابطہ|कॉल"
)
CALLED = (  # behind a number
    r"(?: ?まで| ?に| ?へ)(?:お)?(?:電話|連絡)| ?पर (?:कॉल|फ\x{93C}?ोन|\x{95E}ोन|संपर्क|मैसेज)|(?:으)?로 (?:전화|연락)|"
    r" (?:erreichbar|zu erreichen|anrufen|zurückrufen|numaralı|numaradan|telefonszámon|(?:aan ?)?bellen)\b"
)

BORN = (
    r"date[ _]?of[ _]?birth|dateofbirth|birth[ _-]?date|birthdate|birthday|bday|d\.?o\.?b|born|geburtsdatum|geburtstag|"
    r"geburtsdat|geb\.?-?dat(?:um)?|geboren|geb|"
    r"date (?:de )?(?:ma |sa )?naiss(?:ance)?|née?(?: \(e\))?|née?s|fecha de (?:mi |su )?nac(?:imiento)?|f\. ?nac|fecha nac|"
    r"nacimiento|nací|nacid[oa]|nació|"
    r"data di nascita|nat[oa]|nascit[ao]|geboortedatum|geboorte|geboren|data de nasc(?:imento)?|nasc|nascimento|nasci|"
    r"nascid[oa]|nasceu|"
    r"data urodzenia|urodzen(?:ia|ie)|urodził(?:em|am|a)?(?: się)?|urodzon[yae]|ur|"
    r"födelsedatum|födelsedag|född|fødselsdato|fødselsdag|født|syntymäaika|syntynyt|dat\. nar|narozen[aáýío]?|datum narození|"
    r"narodil(?:a)? (?:jsem )?se|narodil(?:a)? (?:som )?sa|gimiau|gimė|"
    r"dátum narodenia|narodený|narodená|szül|születési (?:dátum(?:om)?|idő|idej[ea])|született|születtem|data nașterii|"
    r"născut[ă]?|datum rođenja|rođen[a]?|"
    r"doğum tarihi(?:m|niz)?|doğum günü(?:m)?|doğumlu|tanggal lahir|lahir|ngày sinh|sinh ngày|fødd|fæðingardagur|"
    r"gimimo data|gimęs|gimusi|sünniaeg|sündinud|syntymäaikan[a-zä]{1,2}|syntymäpäivä|dzimšanas(?: datums)?|dzimis|dzimusi|"
    r"datëlindja|lindur|ipinanganak(?: noong)?|(?:petsa ng )?kapanganakan|[a-z]{2,3}lizaliwa|tarehe ya kuzaliwa|gebore|"
    r"doğum tarixi|anadan olub|tug['\x{2018}\x{2019}\x{2BB}]?ilgan|dáta breithe|rugadh|dyddiad geni|ganwyd|naixement|"
    r"vaig néixer|nascut|nacín|nacemento|"
    r"jaioteguna|jaio(?:tze)?|gebuerts?datum|gebuer|twelid|imwieled|naskiĝ(?:dato|is|tago)|rojen[a]?|(?:datum )?rojstva|"
    r"(?:usuku )?lokuzalwa|ngazalwa|wazalwa"
)
BORN_ELSEWHERE = (
    r"дата рождения|д\.р\.|дата народження|родил(?:ся|ась)|народи(?:вся|лася)|г\.р\.|дата на раждане|роден[а]?|"
    r"γέννησης|γεννήθηκ[εα]|生年月日|誕生日|生まれ|"
    r"出生日期|生日|出生于|出生於|生于|생년월일|생일|출생|जन्म ?(?:की )?(?:तिथि|तारीख|दिनांक|दिन)|जन्मतिथि|जन्मदिन|जन्म|"
    r"تاريخ (?:ال)?ميلاد|مواليد|تاریخ تولد|ولدت|מולד|תאריך לידה|נולד(?:תי|ה)?|"
    r"วันเดือนปีเกิด|วันเกิด|เกิดวันที่|ວັນ(?:ເດືອນປີ)?ເກີດ|កំណើត|မွေးသက္ကရာဇ်|မွေးနေ့|የትውልድ ቀን|"
    r"பிறந்த(?: ?தேதி| ?நாள்)?|పుట్టిన(?: ?తేదీ)?|జన్మదిన|ಹುಟ್ಟಿದ(?: ?ದಿನಾಂಕ)?|"
    r"ಜನ್ಮ(?: ?ದಿನಾಂಕ)?|ജനന(?:ത്തീയതി| ?തീയതി)?|જન્મ(?: ?તારીખ)?|ਜਨਮ(?: ?ਮਿਤੀ)?|"
    r"জন্ম ?(?:তারিখ)?|උපන්(?: ?දින[ය]?)?|დაბადებ(?:ის თარიღი|ულ[ა-ჰ]{0,3})|დავიბადე|ծննդյան(?: ամսաթիվ[ա-և]?)?|ծնվել|ծնված|"
    r"туған(?: күн[а-яіңғүұқөһә]{0,4})?|төрсөн|нараджэння|нарадзіў?ла?ся|рођен[ао]?|датум рођења|раѓање|پیدائش|متولد"
)
BORN_BEHIND = (  # the word after the day
    r"(?:(?: ?(?:in|à|en|a|te|w|i) [A-Z\x{C0}-\x{17F}][^\s,.;]{1,24})? (?:geboren|geb\.|née?\b|nacid[oa]\b|nat[oa]\b|"
    r"nascid[oa]\b|urodzon[yae]\b|"
    r"född|født|syntynyt|doğumlu|tarihinde doğdu|született|born\b)| (?:г\.|года?) ?р(?:ождения|\.)| ?(?:に)?生まれ|"
    r" ?生(?:$|[^A-Za-z0-9活産])| ?出生|"
    r" tarixində (?:anadan )?(?:doğul|ol)|(?:에)? ?(?:출생|태어|생)| को (?:हुआ|जन्म|पैदा))"
)
_MONTH = r"[^\s0-9.,:;=#()<>/@\"-]{3,15}"
# A day as programs write it: midnight, or what midnight is elsewhere. Logs' times are no candidates, as each would be checked.
_MIDNIGHT = r"T[0-9]{2}:[03]0(?::00(?:\.0{1,9})?)?(?:Z|[+-][0-9:]{4,6})?"
WRITTEN_DAY = (
    r"[0-9]{1,2} ?[./\x{2013}-] ?[0-9]{1,2} ?[./\x{2013}-] ?(?:[0-9]{4}|[0-9]{2})\b|"
    rf"[0-9]{{4}} ?[./\x{{2013}}-] ?[0-9]{{1,2}} ?[./\x{{2013}}-] ?[0-9]{{1,2}}(?:{_MIDNIGHT}|\b)|"
    rf"[0-9]{{1,2}}(?:st|nd|rd|th|er|º|ª|°|\.)?,?(?: (?:of|de|di|del))?[ -]{_MONTH}\.?(?: (?:de|del))?,?(?: [0-9]{{4}}|"
    rf"-[0-9]{{2,4}}| [0-9]{{2}})\b|"
    rf"{_MONTH}\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}}\b|[0-9]{{4}}(?:[., -]){{1,2}}{_MONTH} [0-9]{{1,2}}\b|"
    r"(?:(?:明治|大正|昭和|平成|令和|民國|民国)(?:元|[0-9]{1,2})|[0-9]{2,4}) ?(?:年|"
    r"년) ?[0-9]{1,2} ?(?:月|월) ?[0-9]{1,2} ?(?:日|일)?"
)
DAY = rf"{WRITTEN_DAY}|(?:19|20)[0-9]{{6}}\b|[0-9]{{6}}\b"

_TOWN = r"[A-Z\x{C0}-\x{17F}][^\s,0-9]{1,24}(?: [A-Z\x{C0}-\x{17F}][^\s,0-9]{1,24})?"
_BORN_IN_TOWN = (
    r"\b(?i:lahir|ttl|born|geboren|nat[oa]|née?|nacid[oa]|urodzon[ya]|narozen[aáý]?)[ :]{1,3}"
    rf"(?:(?i:di|in|a|à|en|w|we|v) )?{_TOWN}, "
)
_WRITTEN_ASK = r"[^\n?]{0,20}\?[ \t\r]*\n[^\n]{0,60}"  # the question on one line, the answer on the next
AFTER_BORN = (
    rf"(?:{behind(BORN, BORN_ELSEWHERE, 4)}(?i:it's |it is |on |is )?|(?i:\b(?:{BORN})|(?:{BORN_ELSEWHERE})){_WRITTEN_ASK}|"
    rf"(?:^|[\s(,;|])(?i:b|nar|f\. ?n|d\. ?t|ttl)\.?:? |[(,] ?\*|(?:เกิด(?:เมื่อ)?(?:วันที่)?|生於)[ ]?|{_BORN_IN_TOWN})$"
)
IDENTITY = (
    r"national (?:id|identity|identification|insurance)(?: card)?|identity (?:card|number|no)|id card|personal (?:id|"
    r"number|code)|citizen (?:id|card)|"
    r"social (?:security|insurance)(?: number)?|health ?care? (?:card|id)|nhs|medicare|insee|n\.?i\.? (?:number|no)|nino|"
    r"tax ?payer id|"
    r"tax (?:id|number|file number|identification number)|burgerservicenummer|sofinummer|rijksregister-?(?:nummer|nr)|"
    r"identiteitskaart|"
    r"steuer-?(?:id|identifikationsnummer|nummer|nr)|idnr|(?:sozial|renten|kranken)?(?:versicherungs|kassen)-?(?:nummer|"
    r"nr)|krankenkassen-?(?:nummer|nr)|"
    r"sv-?nummer|perso-?(?:nummer|nr)|lanr|bsnr|"
    r"ahv-?(?:nummer|nr)|(?:personal)?ausweis(?:nummer|-?nr)?|ausweisnummer|"
    r"numéro (?:de )?(?:sécurité sociale|sécu|ss|insee|avs|fiscal|national)|n[°o]\.? (?:de )?(?:sécurité sociale|sécu|ss|"
    r"insee|avs)|carte vitale|"
    r"sécurité sociale|sécu|documento (?:nacional )?de identidad|seguridad social|cédula(?: de ciudadanía)?|nif/nie|"
    r"dni/nie|nie/nif|"
    r"codice fiscale|c\.f|cod\. fisc|tessera sanitaria|carta d'identità|cartão de cidadão|segurança social|contribuinte|"
    r"título (?:de )?eleitor(?:al)?|(?:número|n\.?º) de utente|identidade|"
    r"numer pesel|pesel|numer dowodu|dowód osobisty|dowodu osobistego|personnummer|samordningsnummer|cpr(?:-?nummer|"
    r"-?nr)?|fødselsnummer|"
    r"henkilötunnu[a-zäå]{1,9}|hetu|kennitalan?|isikukood|personas kods|asmens kodas|rodné číslo|rodného čísla|osobní číslo|"
    r"občanský průkaz|személyi (?:szám|ig\.?)|szig\.? ?(?:szám)?|"
    r"személyi igazolvány|adóazonosító(?: jel)?|taj[- ]szám|cod numeric personal|matični broj|(?:tc|"
    r"t\.c\.) ?(?:kimlik)?(?: no| numarası| numaram)?|kimlik (?:no|numarası|numaram)|"
    r"aadhaa?r(?: card)?|pan card|resident registration|my ?number|nomor ktp|no\. ktp|(?:số )?căn cước(?: công dân)?|"
    r"chứng minh (?:nhân dân|thư)|teudat zehut|"
    r"emirates id|civil id|iqama|taj(?:[- ]?szám[a-z]{0,3})?|id[- ]?nommer|(?:sa|south african) id|identiteitsnommer|"
    r"kad pengenalan|no\.? (?:kp|ic)|kitambulisho|"
    r"matricule|enotna matična številka(?: občana)?|cnic|jshshir|pinfl|númer[oa]s? de (?:afiliación|la seguridad social)|"
    r"tarjeta sanitaria|cartão (?:do )?sus|health card|(?:health )?insurance (?:policy )?(?:number|no|id)|policy (?:number|no)|"
    r"número de póliza|apólice n[ºo°]?|numéro de police|polisnummer|(?:nr|"
    r"numer) polisy|polizza n[.°]?|versicherungsschein-?(?:nr|nummer)|"
    r"nambari ya kitambulisho|shaxsiy raqam|my id (?:number|no)|cnp-ul|carnet de identidad|documento personal de identificación|"
    r"(?:mi )?c\.i\.|mi ci|ma cin|ghana ?card|kra pin|dod id|edipi|known travell?er|ktn|passid|philhealth|umid|crn|gsis|"
    r"ci (?:uruguaya|paraguaya|boliviana)|phil(?:sys|id)|fayda|p-tal|"
    r"id-картк[аиу]|dea"
)
IDENTITY_SHORT = (
    r"SSN|NINO|NIN|DNI|NIF|NIE|BSN|PESEL|NIP|CPF|RG|CNPJ|CURP|RFC|CUIL|CUIT|RUT|SIN|TFN|ABN|ITIN|PPSN?|NRIC|FIN|HKID|CNP|"
    r"EGN|OIB|JMBG|EMŠO|AMKA|AFM|TCKN|"
    r"NSS|NID|UAN|NIT|RUC|RIF|VKN|NPWP|NUIT|CNS|SUS|RČ|FİN|NUSS|NISS|NIR|AHV|AVS|SVNR|SV-Nr|CPR|"
    r"NIK|KTP|CCCD|CMND|PAN|CF|NHI|IRD|IČO|SNILS|INN|CIN|DUI|DPI|QID|NPI|RAMQ|NAM|TIC|OHIP|ABHA|BPJS|PIS|PASEP|NIS"
)
IDENTITY_ELSEWHERE = (
    r"číslo op|лична карта|личне карте|полис(?:а|у)?(?: ОМС)?|健康保険証?|保険証|マイナンバー|個人番号|"
    r"免許証番号|在留カード|आधार|पैन कार्ड|पैन|身份证|"
    r"身分證|身份證|居民身份|주민(?:등록)?번호|"
    r"외국인등록번호|СНИЛС|ИНН|[ІI]ПН|[ІI]НН|РНОКПП|УНЗР|ідентифікаційний (?:код|номер)|ЕГН|ΑΜΚΑ|ΑΦΜ|תעודת זהות|"
    r"ת[.\x{5F4}\"]ז\.?|"
    r"هوية|هویت|(?:ال)?رقم (?:ال)?(?:قومي|وطني|مدني|شخصي)|رقم البطاقة(?: الوطنية)?|الإقامة|"
    r"کد ملی|شناختی کارڈ|เลขบัตร(?:ประชาชน)?|บัตรประชาชน|เลขประจำตัว(?:ประชาชน)?|תעודת ה?זהות|מספר זהות|"
    r"পরিচয়পত্র|এনআইডি|ஆதார்|ఆధార్|ಆಧಾರ್|ആധാർ|આધાર|ਆਧਾਰ|नागरिकता|හැඳුනුම්පත්|პირადი ნომერი|ЖСН|ИИН|регистрийн дугаар|"
    r"личн(?:ый|ого) номера?|"
    r"идентификационн(?:ый|ого) номера?|ፋይዳ|հանրային ծառայությունների համարանիշ[ա-և]{0,2}|ЈМБГ|ЕМБГ|АМКА"
)
PASSPORT = (
    r"passports?|passeport|pasaporte|reisepass|passaporto|passaporte|paspoort|paszport(?:u)?|pass(?:nummer|nr)|passi|pasu|"
    r"pașaport(?:ul)?|pasaport"
)
PASSPORT_ELSEWHERE = (
    r"útlevél(?:szám[a-z]{0,4})?|паспорт[а]?|пашпарт[а]?|旅券|パスポート|护照|護照|여권|पासपोर्ट|جواز(?: السفر)?|"
    r"پاسپور[ٹت]|گذرنامه|পাসপোর্ট|கடவுச்சீட்டு|పాస్‌?పోర్ట్|ಪಾಸ್‌?ಪೋರ್ಟ್|പാസ്‌?പോർട്ട്|"
    r"પાસપોર્ટ|პასპორტ[ა-ჰ]{0,3}|անձնագ[ա-և]{1,4}|төлқұжат|διαβατήριο|דרכון"
)
AFTER_IDENTITY = (
    rf"(?:{behind(IDENTITY, IDENTITY_ELSEWHERE, 2)}|\b(?:{IDENTITY_SHORT})\b\.?{between(2)}|"
    rf"(?i:\b(?:{IDENTITY_SHORT})[ ]?[:=][ ]?)|"
    rf"(?i:\b(?:ssn|nino|dni|nif|bsn|pesel|cpf|curp|rfc|aadhaa?r|itin|tfn|abn|ppsn?|nric|hkid|cnp|egn|oib|cuit|cuil|tckn|"
    rf"amka){between(1)}))$"
)
# Documents with a series of Cyrillic letters, or of four digits, and a number, of which the word may stand between or behind.
SERIES_BEFORE = {
    "passport": r"(?i:паспорт[а-яіїє]{0,3}|passport)",
    "driver-license": (
        r"(?i:водительск[а-я]{2,3} (?:удостоверени[а-я]{1,2}|прав[а]?)|посвідчення водія|водійськ[а-яіїє]{1,3} прав[а]?)"
    ),
    "national-id": (
        r"(?i:військов[а-я]{2,3} квит[а-я]{2,3}|военн[а-я]{2,3} билет[а-я]?|свидетельств[а-я]{1,2}|свідоцтв[а-яі]{1,2})"
    ),
}
_NUMBER_SIGN = r"(?: ?(?:№|N[o°]?\.?|номер|#))? ?"
SERIES = (
    rf"(?:[ :,№#-]{{1,3}}[А-Яа-яІіЇїЄє]{{1,16}}){{0,4}}?[ :,№#-]{{1,3}}"
    rf"((?:[IVXІХ]{{1,4}}-)?[А-ЯІЇЄҐЎ]{{2,3}}{_NUMBER_SIGN}[0-9]{{6,7}}"
    rf"|[0-9]{{2}} ?(?:[0-9]{{2}}|[А-Я]{{2}}){_NUMBER_SIGN}[0-9]{{6}})\b"
)
# A machine's passport, and a house's: "паспорт изделия 12 34 567890", "технический паспорт"
OF_GOODS = (
    r"(?i:(?:техническ|технологическ|энергетическ|санитарн|кадастров|тех)[а-я]{0,3}\.? ?паспорт|"
    r"паспорт[а-я]{0,3}[^\n]{0,24} (?:издели|насос|прибор|оборудован|двигател|котл|счетчик|счётчик|здани|проект|устройств|машин|"
    r"станк|агрегат|товар|качеств|безопасност|объект|трубопровод|лифт|кран|продукци)[а-я]{0,4})[^\n]{0,40}$"
)
PASSPORT_BEFORE = behind(PASSPORT, PASSPORT_ELSEWHERE, 2)
AFTER_CARD = rf"(?:{behind(CARD, CARD_ELSEWHERE, 3)}[#.? ]{{0,3}})$"
PHONE_BEFORE = behind(PHONE, PHONE_ELSEWHERE, 0)
AFTER_CALL = rf"(?:{behind(f'{PHONE}|{CALL}', f'{PHONE_ELSEWHERE}|{CALL_ELSEWHERE}', 4)})$"
