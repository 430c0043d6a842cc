"""The environment, read here and nowhere else. `docs/operations.md` documents each setting."""

import json
import os
import secrets
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from notify.mail_headers import sender_address
from server import env_file, web_addresses

_SHORTEST_SECRET = 32  # bytes; RFC 7518 section 3.2 asks as many for HS256
#: Where a variable that came out empty by mistake would send work elsewhere, or lift a limit.
_NEVER_EMPTY = ("database_url", "broadcast_url", "mutation_limit", "connect_limit", "stranger_limit")


class SettingsError(Exception):
    """The service cannot start with these settings; the message says what to set."""


class Settings(BaseSettings):
    """What an operator decides, from `HANDOFF_*` variables or a `.env` file in the working directory."""

    model_config = SettingsConfigDict(
        env_prefix="HANDOFF_",
        env_file=env_file.NAME,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
    )

    demo: bool = Field(False, description="Create demo data, and let the API be explored without a token.")
    secret: SecretStr = Field(
        SecretStr(""), description="Signs tokens; 32 random bytes or more. Required outside demo mode."
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/handoff.db"),
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
    )
    broadcast_url: SecretStr = Field(
        SecretStr("memory://"),
        description="How nodes wake each other: memory:// (one process), redis://… or postgresql://….",
    )
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="The port to listen on.")
    workers: int = Field(
        1, ge=1, le=64, description="How many processes `handoff serve` runs on its address, each a node."
    )
    public_url: Annotated[str, AfterValidator(web_addresses.public_address)] = Field(
        "", description="What people reach the service by, for links. Default: host and port."
    )
    allowed_origins: Annotated[list[Annotated[str, AfterValidator(web_addresses.origin)]], NoDecode] = Field(
        default_factory=list,
        description='Other origins whose pages may open a WebSocket, as JSON: ["https://app.example.com"].',
    )
    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="smtp://USER:PASSWORD@HOST:587 (STARTTLS), smtps://… or smtp+plain://…. Empty: files.",
    )
    mail_from: str = Field("Handoff <handoff@localhost.localdomain>", description="The sender of mails.")
    dkim_key_file: Path | None = Field(
        None,
        description="A private RSA key in PEM; signs mails for the sender's domain. Empty: unsigned.",
    )
    dkim_selector: Annotated[str, AfterValidator(web_addresses.selector)] = Field(
        "handoff", description="The DKIM selector under which the public key stands."
    )
    mail_folder: Path = Field(Path("var/mail"), description="Where mails land while no mail server is set.")
    mail_connections: int = Field(
        8, ge=1, le=128, description="Connections to the mail server that one worker opens at most."
    )
    worker: Literal["on", "off"] = Field("on", description="Whether `handoff serve` sends mails itself.")
    push_grace: float = Field(
        30, ge=0, le=3600, description="Seconds that a push may stay unconfirmed before the mail goes."
    )
    token_hours: float = Field(12, gt=0, le=24 * 366, description="How long a `handoff token` is valid.")
    login_hours: float = Field(8, gt=0, le=24 * 366, description="How long a login by mail is valid.")
    jwks: Annotated[str, AfterValidator(web_addresses.keys_address)] = Field(
        "",
        description="The identity provider's keys: the https:// URL of its JWKS document, or a file. Empty: "
        "people sign in by a link in a mail.",
    )
    jwt_issuer: str = Field("", description="The `iss` of the identity provider's tokens, to the letter.")
    jwt_audience: str = Field("", description="The `aud` that its tokens for this service have.")
    jwks_cache: Path = Field(
        Path("var/jwks.json"), description="Where the provider's keys are kept, for starts while it is away."
    )
    documents: Path | None = Field(
        None, description="A manifest of the only documents that are answered, as @graphql-codegen writes it."
    )
    mutation_limit: str = Field(
        "50/second;600/minute", description="How many mutations one user may make, with a burst."
    )
    sockets_per_user: int = Field(
        5000, ge=1, description="Sockets and streams that one user may hold open on one node."
    )
    connect_limit: str = Field("10000/minute", description="How many sockets and streams one user may open.")
    account_limit_factor: int = Field(
        20, ge=1, description="How many times as much all users of an account may do together."
    )
    shared_streams: bool = Field(
        True,
        description="Whether an event is executed and written once for all equal subscriptions "
        "of an account.",
    )
    compiled_completion: bool = Field(
        True, description="Whether fields that show a stored value are completed by compiled functions."
    )
    plans: bool = Field(
        True, description="Whether a document that was read before is executed without Strawberry's frame."
    )
    reused_answers: bool = Field(
        True, description="Whether an answer is sent again as long as its account has no further event."
    )
    exact_columns: bool = Field(
        True, description="Whether a page of the queue is read in one statement, of the columns it shows."
    )
    stranger_limit: str = Field(
        "20/minute;200/hour",
        description="How many links to sign in one network address may ask for, and how many refused "
        "mutations without a valid token are recorded of it.",
    )
    claim_link_hours: float = Field(
        72, gt=0, le=24 * 30, description="How long the claim link of a mail is valid."
    )
    assessor: Literal["rules", "llm", "off"] = Field(
        "rules",
        description="Who assesses escalations: rules, a language model (with rules behind it), nobody.",
    )
    assessment_wait: float = Field(
        8, ge=0, le=60, description="Seconds that an escalation's mails wait for its assessment, at most."
    )
    llm_model: str = Field(
        "", description="The language model: openai:NAME, anthropic:NAME or ollama:NAME. Required for llm."
    )
    llm_url: str = Field(
        "", description="Where the model's server listens. Empty: at the provider's own address."
    )
    llm_key: SecretStr = Field(SecretStr(""), description="The API key of the model's server.")
    llm_timeout: float = Field(
        30, gt=0, le=80, description="Seconds that an assessment by the model may take."
    )
    llm_price: str = Field(
        "", description="What a million tokens cost, input/output, in any one currency: 0.40/1.60."
    )
    llm_daily_tokens: int = Field(
        500_000, ge=0, description="Tokens that an account may use in a day (UTC). 0: any number."
    )
    llm_daily_cost: Decimal = Field(
        Decimal(0), ge=0, description="What an account may cost in a day (UTC), by the price. 0: anything."
    )
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        description="Encrypt the credentials of PSAs: each 32 random bytes in base64url, apart by commas; "
        "the first encrypts. Empty: no PSA can be connected; in demo mode, one made from the secret.",
    )
    psa_allowed_hosts: Annotated[
        list[Annotated[str, AfterValidator(web_addresses.allowed_host)]], NoDecode
    ] = Field(
        default_factory=list,
        description="PSAs that may be inside the service's own network, as JSON: "
        '["halo.example.internal", "10.1.2.3:8443"].',
    )
    psa_ca_file: Path | None = Field(
        None, description="Certificates in PEM of authorities that sign for PSAs, beside the public ones."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: dict[str, object]) -> dict[str, object]:
        """Let an empty value mean the default."""
        return {name: value for name, value in given.items() if value != "" or name in _NEVER_EMPTY}

    @field_validator("allowed_origins", "psa_allowed_hosts", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        # Here and not by pydantic-settings, whose error (2.16) is no ValidationError and names no variable.
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError('must be a JSON list, like ["one", "another"]') from None

    @field_validator("mail_from")
    @classmethod
    def _usable(cls, value: str) -> str:
        sender_address(value)  # a sender that cannot be written would fail every mail for good
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _not_none(cls, value: SecretStr) -> SecretStr:
        if value and not value.get_secret_value().strip(", "):
            raise ValueError("holds no key")
        return value

    @property
    def link_base(self) -> str:
        """The address that links begin with; this machine itself where it listens on all addresses."""
        named = "localhost" if web_addresses.is_everywhere(self.host) else self.host
        host = f"[{named}]" if ":" in named else named
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def grace(self) -> timedelta:
        """How long a push may stay unconfirmed."""
        return timedelta(seconds=self.push_grace)

    @property
    def wait_for_assessment(self) -> timedelta | None:
        """How long an escalation's mails wait for its assessment; None: none is made."""
        return None if self.assessor == "off" else timedelta(seconds=self.assessment_wait)

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: a value cannot be used, or the secret is missing or weak.
        """
        try:
            settings = cls()
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{env_file.NAME} cannot be read as UTF-8 text.") from None
        if settings.jwks and not (settings.jwt_issuer and settings.jwt_audience):
            raise SettingsError(
                "HANDOFF_JWKS needs HANDOFF_JWT_ISSUER and HANDOFF_JWT_AUDIENCE: without them a token that "
                "the provider signed for another service would sign in here."
            )
        if (settings.jwt_issuer or settings.jwt_audience) and not settings.jwks:
            raise SettingsError(
                "HANDOFF_JWT_ISSUER and HANDOFF_JWT_AUDIENCE need HANDOFF_JWKS: without the provider's keys "
                "its tokens sign nobody in."
            )
        secret = settings.secret.get_secret_value()
        if not secret and settings.demo:
            return settings.model_copy(update={"secret": SecretStr(_write_secret())})
        if len(secret.strip().encode()) < _SHORTEST_SECRET:
            raise SettingsError(
                "HANDOFF_SECRET must be set to at least 32 random bytes, the same for every process. "
                "Make one with: openssl rand -hex 32"
            )
        return settings


def unknown_settings() -> dict[str, str | None]:
    """Return the names that begin like a setting's and are none, each with the nearest one that is."""
    known = [name.upper() for name in Settings.model_fields]
    given = {name.upper() for name in (*os.environ, *DotEnvSettingsSource(Settings).env_vars)}
    ours = sorted(name.removeprefix("HANDOFF_") for name in given if name.startswith("HANDOFF_"))
    return {
        f"HANDOFF_{name}": next((f"HANDOFF_{near}" for near in get_close_matches(name, known, n=1)), None)
        for name in ours
        if name not in known
    }


def ensure_demo_file() -> None:
    """Write `.env` for a first start, with the demo flag and a secret, unless there is one already.

    Raises:
        SettingsError: it cannot be written.
    """
    if not Path(env_file.NAME).exists():
        _append("HANDOFF_DEMO=1\n")
        _write_secret()


def _write_secret() -> str:
    """Make a secret and keep it in `.env`, so that the next command finds the same."""
    secret = secrets.token_hex(_SHORTEST_SECRET)
    _append(f"HANDOFF_SECRET={secret}\n")
    return secret


def _append(line: str) -> None:
    try:
        env_file.append(line)
    except OSError as error:
        raise SettingsError(f"{env_file.NAME} cannot be written here: {error.strerror}.") from None


def _explain(error: ValidationError) -> str:
    """Name each setting that cannot be used and why, without its value: it may be a password."""
    wrong = (
        f"HANDOFF_{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False, include_url=False)
    )
    return "\n".join(wrong)
