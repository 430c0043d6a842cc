"""Links in mails: each is signed for one person and one purpose, and expires.

A link scanner opens every link of a mail, so opening one changes nothing: it shows a page with a button,
and only the button's POST acts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt
from jwt.types import Options

_ALGORITHM = "HS256"
#: The purpose stands in the audience, so that no link, and no token of a session, serves for another.
_CLAIM = "handoff-claim-link"
_QUIET = "handoff-quiet-link"
_REQUIRED = ["exp", "aud", "sub"]
_QUIET_FOR = timedelta(days=365)


class LinkExpired(Exception):  # noqa: N818 (an outcome, not a fault)
    """The link was valid once. `handoff_id` is what it led to; None for one that leads to no handoff."""

    def __init__(self, handoff_id: UUID | None) -> None:
        super().__init__(handoff_id)
        self.handoff_id = handoff_id


class LinkInvalid(Exception):  # noqa: N818 (an outcome, not a fault)
    """Nobody signed this link, or for another purpose."""


@dataclass(frozen=True, slots=True)
class ClaimLink:
    """What a claim link stands for."""

    account_id: UUID
    recipient_id: UUID
    handoff_id: UUID
    delivery_id: UUID  #: the mail that carried it; the link claims once


class Links:
    """Signs and reads the links of this service."""

    def __init__(self, base: str, secret: str, *, claim_for: timedelta) -> None:
        self._base = base
        self._secret = secret
        self._claim_for = claim_for

    def handoff(self, handoff_id: UUID) -> str:
        """Return the address of a handoff's page, for people who sign in."""
        return f"{self._base}/handoffs/{handoff_id}"

    def claim(self, link: ClaimLink, *, now: datetime) -> str:
        """Return the address under which the recipient of a mail claims its handoff."""
        claims = {
            "sub": str(link.recipient_id),
            "account": str(link.account_id),
            "handoff": str(link.handoff_id),
            "jti": str(link.delivery_id),
        }
        return f"{self._base}/claim/{self._sign(claims, _CLAIM, now + self._claim_for)}"

    def quiet(self, account_id: UUID, user_id: UUID, *, now: datetime) -> str:
        """Return the address under which a person turns the mails of reminders off."""
        claims = {"sub": str(user_id), "account": str(account_id)}
        return f"{self._base}/quiet/{self._sign(claims, _QUIET, now + _QUIET_FOR)}"

    def login(self, secret: str, handoff_id: UUID | None) -> str:
        """Return the address under which a person signs in, to go on to a handoff if one is given.

        The secret is kept, hashed, in the database.
        """
        link = f"{self._base}/login/{secret}"
        return link if handoff_id is None else f"{link}?handoff={handoff_id}"

    def read_claim(self, token: str) -> ClaimLink:
        """Return what a claim link stands for.

        Raises:
            LinkExpired, LinkInvalid: it stands for nothing (any more).
        """
        claims = self._read(token, _CLAIM)
        return ClaimLink(claims["account"], claims["sub"], claims["handoff"], claims["jti"])

    def read_quiet(self, token: str) -> tuple[UUID, UUID]:
        """Return the account and the user of a link that turns reminders off.

        Raises:
            LinkExpired, LinkInvalid: it stands for nothing (any more).
        """
        claims = self._read(token, _QUIET)
        return claims["account"], claims["sub"]

    def _sign(self, claims: dict[str, str], purpose: str, expires_at: datetime) -> str:
        return jwt.encode({**claims, "aud": purpose, "exp": expires_at}, self._secret, algorithm=_ALGORITHM)

    def _read(self, token: str, purpose: str) -> dict[str, UUID]:
        """Return the ids of a token (RFC 7519)."""
        try:
            try:
                return self._decode(token, purpose)
            except jwt.ExpiredSignatureError:
                claims = self._decode(token, purpose, has_expired=True)
                raise LinkExpired(claims.get("handoff")) from None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            raise LinkInvalid from None

    def _decode(self, token: str, purpose: str, *, has_expired: bool = False) -> dict[str, UUID]:
        options: Options = {"require": _REQUIRED, "verify_exp": not has_expired}
        claims = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], audience=purpose, options=options)
        return {name: UUID(value) for name, value in claims.items() if name not in ("aud", "exp")}
