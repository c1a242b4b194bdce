"""Lines of logs, tables, manuals and orders that hold no personal data and no secret, though they look like some."""

import random
import re
import uuid
from collections.abc import Iterator

Line = dict[str, object]

# ``#`` is a digit, ``@`` a capital, ``~`` a hexadecimal digit.
FORMS = {
    "order": "Your order NW-##### has shipped.",
    "order, bare": "order number 1#########",
    "order, German": "Bestellnummer 1######## vom 03.11.2026",
    "order, French": "commande n° 2########",
    "order, Spanish": "pedido 3######## del 3 de noviembre",
    "order, Italian": "ordine 4########",
    "order, Polish": "zamówienie nr 5########",
    "order, Japanese": "注文番号: 6########",
    "invoice": "INV-2026-###### is due on 2026-12-01",
    "tracking": "tracking number 1Z###@@#########",
    "parcel": "Sendungsnummer 0034043#############",
    "article": "article 4######",
    "sku": "SKU @@@-####-@@",
    "serial": "serial number @##@-####-@@##",
    "ean": "EAN 400638#######",
    "isbn": "ISBN 978-3-16-14####-#",
    "price": "It costs $1,#4#.99 or € 1.#3#,50 in total.",
    "prices in a row": "12.50 13.75 #4.00 #5.25 #6.50",
    "date": "between 2026-01-1# and 2026-02-2#",
    "dates, dotted": "am 1#.03.2026 und 2#.04.2026",
    "time": "at 1#:3#:4# UTC",
    "timestamp": "2026-11-2#T1#:2#:3#.###Z INFO started",
    "unix time": "ts=17640##### took 12.#### ms",
    "unix time, ms": "at 17640########",
    "section": "see section 9.20.1#.8 of the manual",
    "section, German": "siehe Abschnitt 3.1#.2.4",
    "chapter": "chapter 4.2.1#.1 and § 5.1.1#.2",
    "oid": "OID 1.3.6.1.4.1.#####",
    "oid, bare": "1.3.6.1.2.1.1.#.0 = STRING",
    "oid, in words": "the extension 2.5.29.1# is critical",
    "version": "version 4.18.##.2 is out",
    "version, bare": "v1.22.#.1 and upgraded to 10.4.2.#",
    "package": "numpy==1.26.#.1 pip-2#.1.2",
    "build": "build 10.0.19045.#### of Windows",
    "figure": "Figure 7.1.2.# shows this",
    "table of groups": "#### #### #### ####\n#### #### #### ####\n#### #### #### ####\n#### #### #### ####",
    "table of groups, named": "Q1 #### #### #### ####\nQ2 #### #### #### ####\nQ3 #### #### #### ####\nQ4 #### #### #### ####",
    "table, wide": "#### #### #### #### #### #### #### ####",
    "table, marked": "| #### | #### | #### | #### |\n| #### | #### | #### | #### |",
    "csv": "#,##,###,####,#####",
    "coordinates": "at 51.50##, -0.12## and 48.85####,2.35####",
    "sha256": "sha256:" + "~" * 64,
    "sha1": "commit " + "~" * 40,
    "md5": 'etag "' + "~" * 32 + '"',
    "uuid": "UUID",
    "trace": "trace_id=" + "~" * 32 + " span_id=" + "~" * 16,
    "stack": '  File "/app/main.py", line ###, in run\n    at com.acme.Shop.buy(Shop.java:###)',
    "stack, addresses": "0x00007f~~~~~~~~ in malloc () from libc.so.6",
    "log": "[1####.######] usb 1-1.#: new device number ##",
    "access log": '"GET /v1/models HTTP/1.1" 200 #### "-" "curl/8.#.0" 0.0##',
    "user agent": "Chrome/1##.0.####.## Safari/537.36",
    "hex dump": "0000##0: 48 65 6c 6c 6f 20 77 6f 72 6c 64 0a 00 00 00 00",
    "colour": "#~~~~~~ and rgb(##, ##, ##)",
    "size": "120 x 80 x ## cm, 3.# kg",
    "resolution": "1920x10## at 6# Hz",
    "isin": "DE000########",
    "tokens": "max_tokens=4### and token: 12",
    "passes": "pass: 12 of ## tests, 2 skipped",
    "password, prose": "the password is required and must have 12 characters",
    "password, form": "Password: required",
    "password, German": "Passwort: vergessen",
    "secret, prose": "the secret of the stove is patience",
    "pin": "pin 1# of the board is ground",
    "token, prose": "each token is about four characters",
    "cookie, prose": "Cookies: we use them to remember your cart",
    "basic, prose": "Basic authentication is turned off",
    "code": "password = getpass.getpass()\ntoken: str = settings.token",
    "placeholder": "password=${DB_PASSWORD} token=<your-token> secret=***",
    "schema": '{"password": {"type": "string", "minLength": 1#}}',
    "phone, prose": "the phone case of 2026 costs 2#.00",
    "call, prose": "call within 30 days of 2026-11-1#",
    "room": "room 4##, floor 1#, seat 2#A",
    "score": "3-1, 2-#, 101-9# and 88:7#",
    "percent": "50%20off and a 1#.5 % discount",
    "entities": "Fish &amp; Chips &#8211; 2# for &pound;10",
    "flight": "flight LH#### from gate B#",
    "mac": "00:1B:44:~~:~~:~~",
    "licence plate": "@@ ## @@@",
    "equation": "3.14159 * 2.7182818 = 8.5397342#",
    "range": "pages 1##-2##, 100-2## items",
    "born, prose": "born to climb since 19##",
    "card, prose": "card game for 4, gift card 25, card ending in ####",
    "large numbers": "1 234 #67 890 bytes, 12 345 67# rows",
    "timestamps, compact": "20261123T1#0530Z backup-202611231#0530.tar.gz",
    "phone model": "iPhone 15 Pro, model A3###, iOS 18.#.1",
    "k8s": "pod/shop-7c9d8b6f5#-x2k#v restarted",
    "json numbers": '{"id": 1########, "total": 12345.#7, "count": 98765#}',
}


def decoys(seed: int, each: int) -> Iterator[Line]:
    """``each`` lines of every form."""
    dice = random.Random(seed)  # noqa: S311 - texts for a benchmark
    sign = {"#": "0123456789", "@": "ABCDEFGHJKLMNPQRSTUVWXYZ", "~": "0123456789abcdef"}
    for kind, form in FORMS.items():
        for _ in range(each):
            text = re.sub("[#@~]", lambda m: dice.choice(sign[m.group()]), form)
            text = text.replace("UUID", f"request {uuid.UUID(int=dice.getrandbits(128), version=4)}")
            yield {"set": "lookalikes", "text": text, "template": kind, "spans": []}
