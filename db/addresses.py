"""The address of a database: what an operator may write, and what the driver is given.

The options of PostgreSQL are libpq's own (manual, chapter 34.1.2), as whoever rents a server out writes them.
What the driver does not know it would send to the server, and what SQLAlchemy does not know fails each
connection: both are refused at the start.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}

_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: What asyncpg reads in an address by itself.
_OF_DRIVER = {"sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "target_session_attrs"}
#: What SQLAlchemy reads: where the server is, and an option of its dialect for poolers.
_OF_DIALECT = {"host", "port", "prepared_statement_cache_size"}


def read_address(url: str) -> URL:
    """Parse a database URL and choose its driver.

    Raises:
        ValueError: it names no database that the service runs on, or holds an option that cannot be used. The
            sentence holds no password.
    """
    with _readable():
        address = make_url(url)
    driver = _DRIVERS.get(address.drivername)
    if driver is None:
        raise ValueError(f"the service runs on postgresql:// and sqlite:///, not on {address.drivername}://")
    address = address.set(drivername=driver)
    if address.get_backend_name() == "sqlite":
        _check_sqlite(address)
    else:
        read_options(_single_values(address))
        with _readable():
            address.get_dialect()().create_connect_args(address)
    return address


def read_options(given: Mapping[str, str]) -> dict[str, str]:
    """Return the options of a PostgreSQL address under libpq's names, once they can be used.

    Raises:
        ValueError: one is unknown, has a value that it cannot have, or names a file that cannot be used.
    """
    options = {"sslmode" if name == "ssl" else name: value for name, value in given.items()}  # SQLAlchemy's
    for name in options:
        if name not in _OF_DRIVER | _OF_DIALECT | {"connect_timeout"}:
            raise ValueError(f"the service knows no option {_shown(name)} of PostgreSQL; leave it out")
    for name in ("connect_timeout", "prepared_statement_cache_size"):
        if not re.fullmatch("[0-9]{1,6}", options.get(name, "1")):
            raise ValueError(f"{name} must be a whole number")
    if options.get("connect_timeout", "1").strip("0") == "":
        raise ValueError("connect_timeout must be at least 1 second")
    _check_tls(options)
    return options


def driver_arguments(address: URL) -> tuple[URL, dict[str, Any]]:
    """Split a PostgreSQL address into what SQLAlchemy reads and the driver's own arguments."""
    options = read_options(_single_values(address))
    of_dialect = {name: value for name, value in address.query.items() if name in _OF_DIALECT}
    arguments: dict[str, Any] = {}
    if of_driver := {name: options[name] for name in options if name in _OF_DRIVER}:
        # An address of nothing but options. Everything else is given beside it, and wins.
        arguments["dsn"] = f"postgresql://?{urlencode(of_driver)}"
    if "connect_timeout" in options:
        arguments["timeout"] = int(options["connect_timeout"])
    return address.set(query=of_dialect), arguments


def _check_sqlite(address: URL) -> None:
    if address.host or address.database in (None, "", ":memory:"):
        raise ValueError("the SQLite database is kept in a file; write sqlite:///file")
    if address.query:
        raise ValueError(f"SQLite has no options here; leave {_shown(next(iter(address.query)))} out")


def _single_values(address: URL) -> dict[str, str]:
    """Return the options; of one that is given twice, as hosts may be, the last value."""
    return {name: value if isinstance(value, str) else value[-1] for name, value in address.query.items()}


def _check_tls(options: Mapping[str, str]) -> None:
    mode = options.get("sslmode", "prefer")
    if mode not in _TLS_MODES:
        raise ValueError(f"sslmode must be one of: {', '.join(_TLS_MODES)}")
    if mode.startswith("verify-") and "sslrootcert" not in options:
        raise ValueError(f"sslmode={mode} needs sslrootcert=FILE, the authority's certificates in PEM")
    if "sslkey" in options and "sslcert" not in options:
        raise ValueError("sslkey needs sslcert=FILE, the certificate that it belongs to")
    # Read once here, so that a wrong file is told at the start and not at each connection.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if "sslrootcert" in options:
        with _reading("sslrootcert must be a file of certificates in PEM"):
            context.load_verify_locations(cafile=options["sslrootcert"])
    if "sslcert" in options:
        with _reading("sslcert and sslkey must be files of a certificate and its key in PEM, not encrypted"):
            # Without any password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(options["sslcert"], options.get("sslkey"), password=lambda: "-")


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ArgumentError, ValueError):  # the latter is of a port that is no number
        raise ValueError(
            "the database URL cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, with the "
            "password percent-encoded, or sqlite:///FILE"
        ) from None


@contextmanager
def _reading(sentence: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError:
        raise ValueError(sentence) from None
    except OSError as error:
        raise ValueError(f"{sentence}: {error.strerror}") from None


def _shown(name: str) -> str:
    """Return the name of an option, unless what stands there may be a part of a password."""
    return f'"{name}"' if re.fullmatch("[a-z_]{1,40}", name) else "of that name"
