"""Personal data as people of other countries write it, where earlier rules had no word or shape for it (S5).

Every value is made up, or a register's published example. What stays is what looks alike: goods, versions, prices, laws, results.
"""

import re

import pytest

from app.security.redaction.redactor import Redactor

TOKEN = re.compile(r"<([a-z-]+):[0-9a-f]{8}>")
REDACTOR = Redactor(b"a key for the tests of shapes")
GOES = [
    ("bank-account", "IFSC: HDFC0001234, Account: «50100123456789»"),
    ("bank-account", "savings account «123456789012»"),
    ("bank-account", "checking account number «0012345678»"),
    ("bank-account", "my account number is «000123456789»"),
    ("bank-account", "pay via UPI at «merchant.shop@ybl»"),
    ("bank-account", "a failed payment from «ann.lee@paytm», retry"),
    ("plate", "Vehicle RC: «MH 02 AB 1234»"),
    ("credential", "Join with meeting id 123 456 7890 passcode «482913»"),
    ("phone", "हमें कॉल करें «9876543210»"),
    ("national-id", "Mein Ausweis: «L01X00T47»"),
    ("email", "«ann [dot] lee [at] example [dot] com»"),
    ("bank-account", "conta «12345-6 agência 1234»"),
    ("phone", "תתקשרו אליי ל-«0501234567»"),
    ("phone", "κιν. «697 123 4567»"),
    ("phone", "kom. «501 502 503»"),
    ("phone", "мой номер «8-916-123-45-67»"),
    ("phone", "my number is «four one five five five five zero one three two»"),
    ("phone", "call me: «zero six one two three four five six seven eight»"),
    ("phone", "meine Nummer: «null eins fünf eins zwo drei vier fünf sechs sieben»"),
    ("phone", "Rufnr. «0151 2345678-9»"),
    ("national-id", "my pan is «abcpe1234f»"),
    ("national-id", "ABHA number «91-1234-5678-9012»"),
    ("national-id", "codice fiscale «RSS MRA 85T10 A562S»"),
    ("national-id", "SPI «3023217600053»"),
    ("national-id", "Rentenversicherungsnr. «65 070649 C 103»"),
    ("national-id", "Krankenkassennummer «A123456780»"),
    ("national-id", "Perso-Nr. «T22000129»"),
    ("national-id", "LANR «123456601» BSNR «123456789»"),
    ("national-id", "número de utente «123456789»"),
    ("national-id", "título eleitoral «1234 5678 0140»"),
    ("national-id", "PIS «120.44560.67-5»"),
    ("national-id", "rut «12531909-2»"),
    ("national-id", "CI uruguaya «1.234.567-2»"),
    ("national-id", "OHIP «1234-567-897-AB»"),
    ("national-id", "NI: «QQ 12 34 56 C»"),
    ("national-id", "rijksregisternr «85.07.30-033 28»"),
    ("national-id", "pnr «19811228-9874»"),
    ("national-id", "fødselsnr «151086 95088»"),
    ("national-id", "fnr: «15108695088»"),
    ("national-id", "henkilötunnukseni on «131052-308t»"),
    ("national-id", "kt. «120174-3399»"),
    ("national-id", "a. k. «38703181745»"),
    ("national-id", "r. č. «7103192745»"),
    ("national-id", "szig.szám: «123456AB»"),
    ("national-id", "ΑΔΤ «ΑΒ 123456»"),
    ("national-id", "полис ОМС «7700 0012 3456 7890»"),
    ("national-id", "ת״ז «03933742-3»"),
    ("national-id", "رقم قومي «٢٩٠٠١٠١١٢٣٤٥٦٧»"),
    ("national-id", "civil id «285010112345»"),
    ("national-id", "เลขบัตร «1-2345-45678-78-1»"),
    ("national-id", "บัตรประชาชน «1234545678781»"),
    ("national-id", "căn cước công dân số «079123456789»"),
    ("national-id", "BPJS «0001234567890»"),
    ("national-id", "no. ic «770305021234»"),
    ("national-id", "PhilHealth «12-345678901-2»"),
    ("national-id", "SSS no. «34-1234567-8»"),
    ("national-id", "KRA PIN «A001234567Z»"),
    ("national-id", "SA ID «8001015009087»"),
    ("national-id", "ID nommer: «8001015009087»"),
    ("ssn", "my social is «219099999»"),
    ("national-id", "DEA # «AB1234563»"),
    ("national-id", "DoD ID «1234567890»"),
    ("national-id", "Global Entry PASSID «123456789»"),
    ("national-id", "scan_cpf_«39053344705».pdf"),
    ("national-id", "https://x.example/verify/pesel/«44051401359»"),
    ("passport", "PP no: «K1234567»"),
    ("passport", "útlevélszámom «BA1234567»"),
    ("passport", "pas č. «12345678»"),
    ("passport", "หนังสือเดินทางเลขที่ «AA1234567»"),
    ("driver-license", "DL: «D1234567» (CA)"),
    ("driver-license", "permis n° «991234100123»"),
    ("driver-license", "licencia de conducir núm. «12345678Z»"),
    ("driver-license", "права «77 16 123456»"),
    ("driver-license", "SIM C «9002-8001-000123»"),
    ("plate", "my car is «WX51 ABC»"),
    ("plate", "Kfz «M-AB 1234»"),
    ("plate", "гос. номер «а123вс 77»"),
    ("plate", "차량번호 «12가 3456»"),
    ("plate", "ทะเบียน «กข 1234»"),
    ("plate", "biển số xe «51F-123.45»"),
    ("plate", "رقم اللوحة «أ ب ج 1234»"),
    ("plate", "vehicle no. «MH 12 AB 1234»"),
    ("bank-account", "acct «12345678» sort «12-34-56»"),
    ("bank-account", "s/c «12-34-56», acc «12345678»"),
    ("bank-account", "routing «021000021» account «1234567890»"),
    ("bank-account", "ACH routing: «021000021», acct#: «000123456789»"),
    ("bank-account", "transit «12345-003»"),
    ("bank-account", "BSB «062-000» Acc «12345678»"),
    ("bank-account", "clabe interbancaria: «032 180 00011835971 9»"),
    ("bank-account", "agência 1234 conta «12345-6»"),
    ("bank-account", "счёт «40817810099910004312»"),
    ("bank-account", "nr rach. «61109010140000071219812874»"),
    ("bank-account", "číslo účtu «19-2000145399/0800»"),
    ("bank-account", "účet «2000145399/0800»"),
    ("bank-account", "clearing «8327-9», konto «123 456 789-0»"),
    ("bank-account", "普通口座 «1234567»"),
    ("bank-account", "账号：«6222 0212 0000 1234 567»"),
    ("bank-account", "계좌 «110-123-456789»"),
    ("bank-account", "บัญชี «123-4-56789-0»"),
    ("bank-account", "rek BCA «1234567890»"),
    ("iban", "شبا «IR06 2960 0000 0010 0324 2000 01»"),
    ("bank-account", "M-Pesa till / akaunti «1234567890»"),
    ("card", "card «4111_1111_1111_1111»"),
    ("card", "%B«4111111111111111»^DOE/ANN^28121011000"),
    ("birth-date", "b. «12 March 1980»"),
    ("birth-date", "Geb.-Dat.: «12.03.1980»"),
    ("birth-date", "date naissance «12-03-1980»"),
    ("birth-date", "f.n. «12/03/1980»"),
    ("birth-date", "nar. «12. 3. 1980»"),
    ("birth-date", "szül.: «1980.03.12»."),
    ("birth-date", "γεννήθηκε στις «12/3/1980»"),
    ("birth-date", "Ημ/νία γέννησης: «12/03/1980»"),
    ("birth-date", "D.T. «12.03.1980»"),
    ("birth-date", "مواليد «١٩٨٠/٣/١٢»"),
    ("birth-date", "נולד ב-«12/03/1980»"),
    ("birth-date", "เกิด «12 มีนาคม 2523»"),
    ("birth-date", "lahir di Bandung, «12 Maret 1980»"),
    ("birth-date", "生年月日 «S55.3.12»"),
    ("birth-date", "«昭和五十五年三月十二日»生まれ"),
    ("birth-date", "生於«民國69年3月12日»"),
    ("email", "mail me: «ann dot lee at example dot com»"),
    ("email", '«"ann lee"@example.com»'),
    ("email", "«ann_at_example.com»"),
    ("email", "«ann AT example DOT com»"),
    ("email", "«ann arroba example punto com»"),
    ("email", "«ann arobase example point fr»"),
    ("email", "«ann ät example punkt de»"),
    ("email", "«anna собака example точка ru»"),
    ("ip", "client «203.0.113.7»:51544 connected"),
    ("ip", "ip-«203-0-113-7».ec2.internal"),
    ("ip", "«203 dot 0 dot 113 dot 7»"),
    ("ip", "«203[.]0[.]113[.]7»"),
    ("device", "MAC address «00:1B:44:11:3A:B7»"),
    ("device", "mac: «00-1b-44-11-3a-b7»"),
    ("device", "hwaddr «001b.4411.3ab7»"),
    ("device", "IMEI «490154203237518»"),
    ("device", "imei: «49-015420-323751-8»"),
    ("device", "ICCID «89014103211118510720»"),
    ("device", "IMSI «310150123456789»"),
    ("address", "«ул. Ленина, д. 5, кв. 12»"),
    ("address", "«〒150-0001 東京都渋谷区神宮前1-2-3»"),
    ("address", "«서울특별시 강남구 테헤란로 123»"),
    ("address", "«北京市朝阳区建国路88号»"),
    ("address", "«ul. Długa 5/12, 00-238 Warszawa»"),
    ("address", "«Kossuth Lajos utca 12., 1053 Budapest»"),
]
STAYS = r"""
ask @paytm or @upi, PIN 560001 Bengaluru, and a savings account since 2026
my account number is 12345678 in your shop, see RC: 1.0.2 and rc 4
IFSC: HDFC0001234 is the code of a branch
паспорт изделия 12 34 567890
технический паспорт насоса 45 12 345678
FIN 2024Q12
FIN 1A2B flight to Helsinki
order 4500123456 shipped on 2026-11-30
PO# 4500 123 456
Order #114-3941689-8772232
Amazon order 114-3941689-8772232
SKU 8801643-5521
SKU: AB-1234-56-XL
part no. 1N4148-TAP
P/N 6ES7 214-1AG40-0XB0
MPN LM317T/NOPB
serial no. C02XK0AAJGH5
model SM-G991B/DS
ISBN 978-0-306-40615-7
ISBN 0-306-40615-2
ISSN 2049-3630
DOI 10.1000/182
arXiv:2401.12345v2
EAN-13: 4006381333931
GTIN 00012345600012
HS code 8471.30.0100
CAS 7732-18-5
UN 1203 petrol
lot 20261130-07
batch: LX2291A
tracking 1Z 999 AA1 01 2345 6784
tracking: JD014600006281230701
container MSCU1234566
flight LH1234 at 12:34, gate B12
PNR X7K9QP
train ICE 1234, Wagen 12, Platz 45
hotel booking 123456789
ticket INC0012345
JIRA ABC-12345
PR #12345 closes #12001
v1.2.3-rc.4+build.567
Chrome 142.0.7444.59
version 10.0.26100.7171
kernel 6.12.57-1-lts
python 3.12.3 (main, Nov 6 2025)
openssl 3.0.13 30 Jan 2024
numpy 2.3.5, torch 2.9.1+cu126
npm WARN deprecated inflight@1.0.6
react@19.2.0 and @types/node@24.10.1
postgres:16.4-alpine3.20
nginx/1.28.0
Release 24.04.3 LTS
firmware 5.10.160.2
9bafaf8e1d2c3b4a5f6e7d8c9b0a1f2e3d4c5b6a
commit 9bafaf8e1d2c3b4a5f6e7d8c9b0a1f2e3d4c5b6a in main
Merge 5cc457e7..9bafaf8e
index 83db48f..bf269f4 100644
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
md5 d41d8cd98f00b204e9800998ecf8427e
ETag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
550e8400-e29b-41d4-a716-446655440000
request_id=550e8400-e29b-41d4-a716-446655440000
01JDXYZ0ABCDEFGHJKMNPQRSTV is a ULID
req_011CSHoEeqs5C35K2UUqR7Fy
trace 0af7651916cd43dd8448eb211c80319c span b7ad6b7169203331
cuid clh3am8wq0000mh08p4nxe5s7
run 17293847561 of workflow build
1764504000
1764504000123
2026-11-30T12:00:00.000+00:00
20261130T120000Z
Mon, 30 Nov 2026 12:00:00 GMT
11/30/2026 12:00 PM
30.11.2026 – 02.12.2026
2026年11月30日(月)
30 نوفمبر 2026
at 12:34:56.789012
6.02214076e23 and 1.602176634e-19 C
3.141592653589793
299792458 m/s
9.80665 m/s2, 101325 Pa
1,234,567.89
1.234.567,89 €
1 234 567,89 zł
₹12,34,567.00
¥1,234,567
₩1,234,567
Rp 1.234.567
1'234'567.89 CHF
R$ 1.234.567,89
£1,234.56 incl. VAT
$0.0025 per 1K tokens
₺12.345,67
12 345 678 Ft
R 12 345.67
Kč 12 345,-
42.195 km in 2:01:09
3:2 (1:1, 2:0, 0:1)
6-4 3-6 7-6(5) 6-2
Bayern 4–0 Hoffenheim 12.04.2026
Lakers 112-108 Celtics
1. FC Köln – BVB 2:2 (67. Kane, 89. Sané)
100 m in 9.58 s, 200 m in 19.19 s
Elo 2882, 13.5/17
§ 823 Abs. 1 BGB, Art. 6 Abs. 1 lit. f DSGVO
Art. 6(1)(f) GDPR, Regulation (EU) 2016/679
42 U.S.C. § 1983; 550 U.S. 544 (2007)
BGH, Urteil vom 12.03.2019 – XI ZR 9/17
Case C-311/18, ECLI:EU:C:2020:559
18 U.S.C. 1030(a)(2)(C)
ст. 159 УК РФ, п. 12.3.4
Закон № 152-ФЗ от 27.07.2006
民法第709条
Directive 2011/83/EU of 25 October 2011
ISO/IEC 27001:2022, Annex A.8.24
RFC 9110 section 15.5.2
EN 60601-1-2:2014+A1:2020
IEEE 802.11ax
10.1.2.3.4 is an OID part
chapter 4.12.1.3
the range 192.168 is private
Mount Everest is at 27.9881 N, 86.9250 E
the equator, 0.0000, 32.5825
zoom=12.5 and scale=0.75
rgb(255, 99, 71) and #FF6347
hsl(9, 100%, 64%)
viewBox="0 0 1200 630"
M10 10 L 20.5 30.25 C 40 50 60 70 80 90
padding: 12px 16px 8px 4px
1920x1080@59.94
iPhone 17 Pro Max 256 GB
RTX 5090 32GB GDDR7
Ryzen 9 9950X3D
LGA1851, DDR5-6400 CL32
M8x1.25x40 DIN 912
205/55 R16 91V
EU 42, UK 8, US 9
W32 L34
5W-30 1 l
AA, CR2032, 18650
12 V / 60 Ah
230 V, 50 Hz, 16 A
25 °C to 65 °C
180 g sugar, 250 ml milk, 20 min
page 123-145, fig. 7.1.2
vol. 12(3), pp. 45-67
Psalm 119:105 and John 3:16
opus 27 no. 2
Boeing 737-800, reg. series
NGC 1234, HD 209458 b
PDB 1A2B, UniProt P12345
rs429358, chr7:140453136
ICD-10 E11.65, CPT 99213
ATC C09AA05
dose 500 mg twice daily for 10 days
BMI 24.7, RR 120/80
the token is expired
token limit: 128000
max_tokens: 4096, temperature: 0.7
tokens=12345 cost=0.0123
key: value, keys and values
api_key is required
"api_key": null
password: ********
password must be at least 12 characters
Passwort zurücksetzen
forgot password?
secretName: db-credentials
key=order_id
sort_key=created_at
public key pinning
PUBLIC_URL=https://shop.example
Authorization: required
Bearer of good news
basic plan 12345
pin 12 to pin 14
PIN code 110001
OTP supervision tree
auth: enabled
session: 45 minutes
SESSION_TIMEOUT=3600
cookie cutter 12 pcs
client 2.0.1.5 released
IMEI is printed on the box
MAC 10.15.7
mac and cheese 500 g
geo targeting in 12 regions
call 112 in an emergency
call in 5-10 minutes
call for papers 2026-12-15
text 2 columns, 3 rows
tel aviv 2026
mobile first, 360x640
phone holder 12345
born in the USA
b. flat major
s. 12-15
ur. 12 av Brottsbalken
nar. 12
lat = latency, lon = long
DL 40 MB/s UL 10 MB/s
DL380 Gen10
PP 12-34
CC 2.0
CI 12345 passed
RUT955 router
NIF file 12
SIN(30) = 0.5
PAN 35 mm 1234
TIN 60/40 solder
NI 43-101 report
UTR 5 prime
CHI 24 Blackhawks
IRD 12 days
RG 58 coax
RG-213/U
CURP is a Mexican id
VIN is on the frame
BIC and IBAN are on the statement
sort codes have 6 digits
a/c not included
account 360 view
Konto eröffnen in 10 Minuten
routing table 255
SWIFT 5.9
plate 30x40 cm
plates 12-18 in stock
targa 911
passport stamp 25 mm
passport.js 0.7.0
license plate light 12V
driving 100 km
DEA of 12 decision units
SSS of 3 nodes
user default on
ann@ work
at example dot com level
meet at noon, dot your i
look at line dot plot
Sit at table 5, dot matrix
x at y dot z
12 rue
Street Fighter 6
Berlin 10115
7z a archive.7z -mx9
unzip -P is insecure
ldapsearch -x -w is needed
-p 8080:80 -v /data
mysql -P 3306
sqlcmd -S db -E -Q "select 1"
cp -p src dst
mkdir -p build
ssh -p 2222 host
scp -P 2222 a b
grep -w word1 file2
curl -w "%{http_code}" x
docker run -w /app1 img
tar -k2 x
use 482913 rows to test
code 482913 lines
code: 404
код 404
error code: 80070005
coupon code SAVE2026
postal code 75001
country code 0049
area code 415
kodu bilmiyorum 2026
"p": "0.05", "d": "2.5", "q": "3"
{"k": "label", "v": "12"}
p=0.0123456789, q=0.9876543211
hooks/pre-commit/v4.6.0
/hooks/useState/index.js
/p/tent-green-4p/n/2
webhooks/2026/11/30
live_update_2026_11_30_final_version_two
test_results_2026_11_30_run_12_of_40
key_performance_indicators_2026_q4_final
tk_widget_label_configuration_for_2026
cu_12345
v2.public.release.notes
standard_deviation_of_sample_2026
secret_admin_panel_redesign
Mid-server-side rendering in 2026
skey_value_store
dGhpcyBpcyBhIHRlc3Qgb2YgYmFzZTY0IGVuY29kaW5n
iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4
| Password policy | 12 characters |
The pass code of conduct has 12 rules.
Auth failed for user 1042 at 12:30
Unseal the box 12 times
WIFI: 2.4 and 5 GHz
A user/pass pair is needed
login: ann / role: admin
login page / dashboard2
auth=('basic', 'digest')
requests.get(u, auth=auth, timeout=12)
Client('orders', 'v2')
NI-DAQ 12 34 56 cards
The kt. 12 boats
r. 12/2024
SPI 4-wire 12345678 Hz
PIS 12 bar
a. k. a. 12345 fans
lahir prematur 12 minggu
مواليد 1980 كثيرون
born 1980
The company was born 12 years ago
szül. 12
"""
TABLES = [
    "Item;Qty;Price\nTent;12;129.00\nStove;3;49.50",
    "name: DB\nport: 5432",
    "user,password_changed,role\nann,2026-11-30,admin",
    "| Metric | Value |\n|---|---|\n| p95 | 123.45 ms |",
    "one two three four five six seven eight",
    "ten, nine, eight, seven, six, five, four, three, two, one",
    "at some point in the future",
]


@pytest.mark.parametrize(("kind", "line"), GOES)
def test_a_persons_data_goes_in_the_shape_its_state_gives_it(kind: str, line: str) -> None:
    text, expected = line.replace("«", "").replace("»", ""), re.sub("«[^»]*»", f"<{kind}>", line)
    assert TOKEN.sub(rf"<{kind}>", REDACTOR.redact(text, tenant="acme")) == expected


@pytest.mark.parametrize("line", [*STAYS.strip().splitlines(), *TABLES])
def test_what_only_looks_like_a_persons_data_stays(line: str) -> None:
    assert REDACTOR.redact(line, tenant="acme") == line
