"""Card numbers and IBANs, found by their form and their check digits."""

import re

#: Four groups of four as on most cards, 4-6-5 (American Express), 4-6-4 (Diners Club), or all digits in one.
_CARD = re.compile(
    r"(?<![\w.:-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?![\w:-])(?!\.\d)"
)
#: Where cards begin (ISO/IEC 7812): Visa; Mastercard; American Express; Discover; Diners Club; JCB; UnionPay;
#: Maestro.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|6(?:011|4[4-9]\d|5\d\d)\d{12}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}|(?:50|5[6-8]|6[37])\d{14}"
)
#: A number that calls itself something else.
_OTHER_NUMBER = re.compile(
    r"(?i)(?:serial|s/?n|imei|iccid|ticket|case|order|asset|invoice|meter)[\w .#]{0,12}[:=#]?\s{0,3}\Z"
)
#: Characters before a number in which its name is looked for.
_BEFORE = 30
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
#: Characters of an IBAN by country (ISO 13616, the SWIFT registry).
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FO FI GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}


def hide_payment_numbers(text: str) -> str:
    """Return the text without card numbers and IBANs; other long numbers stay."""
    return _CARD.sub(_hide_card, _IBAN.sub(_hide_iban, text))


def _hide_card(found: re.Match[str]) -> str:
    digits = re.sub(r"[ -]", "", found.group())
    before = found.string[max(0, found.start() - _BEFORE) : found.start()]
    is_card = _ISSUERS.fullmatch(digits) and _passes_luhn(digits) and not _OTHER_NUMBER.search(before)
    return "[card number removed]" if is_card else found.group()


def _passes_luhn(digits: str) -> bool:
    """Check the last digit: ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0


def _hide_iban(found: re.Match[str]) -> str:
    """Hide as many characters as the country's IBANs have: words in capitals may follow."""
    length = _IBAN_LENGTHS.get(found.group()[:2], 0)
    places = [place for place, character in enumerate(found.group()) if character != " "]
    if not 0 < length <= len(places):
        return found.group()
    end = places[length - 1] + 1
    iban, rest = found.group()[:end].replace(" ", ""), found.group()[end:]
    return f"[IBAN removed]{rest}" if rest[:1] in ("", " ") and _passes_mod_97(iban) else found.group()


def _passes_mod_97(iban: str) -> bool:
    """Check the two digits after the country: ISO 7064, MOD 97-10."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1
