"""Addresses of wallets: pseudonyms of people, whose payments all can read. Found by their checks, which no chance passes.

Sources: Bitcoin's base58check, with the letters of others; BIP 173 and BIP 350 (bech32); EIP-55, whose check is in the capitals
and needs a hash that Python lacks: that there are both counts, or a word before. Of Monero's the shape counts.
"""

import hashlib

from app.security.redaction.detectors import Kind, only_if

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = str.maketrans("rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", _BASE58)
MONERO = 95  # signs
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_ENDS = (1, 0x2BC830A3)  # of bech32, and of bech32m


def base58(candidate: str) -> bool:
    """Whether the last four bytes are those of the others' hash: Bitcoin, Litecoin, Dogecoin, Tron, Dash, Zcash; Ripple's too."""
    if len(candidate) == MONERO:
        return True
    return _checked(candidate.translate(_RIPPLE)) if candidate.startswith("r") else _checked(candidate)


def _checked(written: str) -> bool:
    value = 0
    for sign in written:
        value = value * 58 + _BASE58.index(sign)
    for length in (25, 26):  # one byte of version, or two
        if value < 1 << 8 * length:
            raw = value.to_bytes(length, "big")
            if hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]:
                return True
    return False


def bech32(candidate: str) -> bool:
    """Whether the check of the last six signs holds. Before the last 1 stands a chain's name: ``bc``, ``ltc``, ``addr``."""
    chain, _, data = candidate.lower().rpartition("1")
    check = 1
    for value in (*(ord(sign) >> 5 for sign in chain), 0, *(ord(sign) & 31 for sign in chain), *map(_BECH32.index, data)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    return check in _ENDS


def mixed(candidate: str) -> bool:
    """Whether there are capitals and small letters: no hash is written so."""
    return candidate[2:] not in (candidate[2:].lower(), candidate[2:].upper())


_COIN = r"(?i:\b(?:wallets?|eth|ethereum|erc-?20|metamask|usd[ct]|crypto|polygon|arbitrum)\b[^\n]{0,24})$"

WALLETS: tuple[Kind, ...] = (
    Kind("wallet", rf"\b(?:[139ADLMTXrt][{_BASE58}]{{24,35}}|[48][{_BASE58}]{{{MONERO - 1}}})\b", only_if(base58)),
    Kind("wallet", rf"\b(?:[a-z]{{2,12}}1[{_BECH32}]{{38,110}}|[A-Z]{{2,12}}1[{_BECH32.upper()}]{{38,110}})\b", only_if(bech32)),
    Kind("wallet", r"\b0x[0-9A-Fa-f]{40}\b", only_if(mixed)),
    Kind("wallet", r"\b0x[0-9A-Fa-f]{40}\b", after=_COIN),
)
