"""Signs mails, so that the recipient's server can tell that the sender's domain sent them (RFC 6376)."""

import dkim

from notify.envelopes import Sign

#: What a signature covers: what a reader sees, and what their mail program acts on (RFC 6376 section 5.4.1,
#: RFC 8058 section 4).
_SIGNED = [
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"auto-submitted",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
]


def make_signer(*, domain: str, selector: str, key: bytes) -> Sign:
    """Return a function that puts the signature before a mail's bytes.

    Raises:
        ValueError: the key is no private key in PEM.
    """

    def sign(content: bytes) -> bytes:
        signature: bytes = dkim.sign(
            content,
            selector.encode(),
            domain.encode(),
            key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=_SIGNED,
        )
        return signature + content

    try:
        sign(b"From: a@b.example\r\n\r\nA try.\r\n")
    except (dkim.DKIMException, ValueError, TypeError) as error:
        raise ValueError("the DKIM key cannot be used; it must be a private RSA key in PEM") from error
    return sign
