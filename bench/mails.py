"""How many mails a worker hands in. Run it with: python -m bench.mails --help.

Starts a PostgreSQL and a mail server that only counts, and hands in the mails of escalations in turns: a
connection and an `EmailMessage` for each mail, all at once, with no database behind them; and a worker's
outbox, with everything that it reads and records. Then the same with a mail server that takes its time over
each command. Last: how many due deliveries are leased and settled, in batches and one by one.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from uuid import UUID

import aiosmtplib
import click
import uvloop
from pydantic import SecretStr
from sqlalchemy import func, insert, select, text

from db import deliveries as ledger
from db import mail_beginnings, migrate, outbox, system
from db import users as stored_users
from db.deliveries import NewDelivery
from db.enums import Channel, DeliveryKind, DeliveryStatus, HandoffIntent, Role
from db.models import deliveries, users
from db.outbox import Attempt, Settlement
from db.session import Database, new_id
from notify import policy
from notify.mail_server import MailServer
from notify.outbox import Outbox
from resolvers import branches, handing_off, sessions
from resolvers.branches import NewBranch
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewSession
from server import process
from server.settings import Settings
from tests.cast import Cast, make_cast
from tests.client import SECRET
from tests.servers.postgres import PostgresServer

DATABASE = "bench_mails"
NOTES = "Rebuilt the profile twice, cleared the credential manager, reset the password. No change.\n" * 6
_TURNS = 5  # of the batches


@dataclass(slots=True)
class Way:
    """One way to hand in mails, and how many it handed in."""

    name: str
    a_second: list[float] = field(default_factory=list)  #: mails, one figure a turn
    cpu: list[float] = field(default_factory=list)  #: milliseconds a mail, of the process that hands it in

    @property
    def median(self) -> float:
        """The middle turn."""
        return statistics.median(self.a_second)

    def __str__(self) -> str:
        return f"{self.name} {self.median:,.0f}/s ({min(self.a_second):,.0f} to {max(self.a_second):,.0f})"


@dataclass(frozen=True, slots=True)
class Load:
    """What is handed in, in each turn."""

    mails: int
    recipients: int  #: of each escalation
    connections: int  #: that a worker may open
    turns: int


@dataclass(frozen=True, slots=True)
class Words:
    """A mail's words, written once, for those who write no template."""

    subject: str
    text: str
    page: str


@click.command()
@click.option("--mails", default=1000, show_default=True, help="Of each turn.")
@click.option("--recipients", default=1000, show_default=True, help="Of each escalation.")
@click.option("--latency", default=30, show_default=True, help="Milliseconds before each answer.")
@click.option("--connections", default=64, show_default=True, help="That a worker may open.")
@click.option("--turns", default=5, show_default=True, help="Of each way.")
@click.option("--deliveries", "due", default=10_000, show_default=True, help="To lease and settle.")
def main(mails: int, recipients: int, latency: int, connections: int, turns: int, due: int) -> None:
    """Measure how many mails a worker hands in."""
    load = Load(mails, recipients, connections, turns)
    with PostgresServer() as server:
        server.create_database(DATABASE)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for seconds in (0.0, latency / 1000):
                with counting_mails(seconds) as port:
                    runner.run(_compare(server.url(DATABASE), port, seconds, load))
            runner.run(_compare_batches(server.url(DATABASE), due))
        server.drop_database(DATABASE)


@contextmanager
def counting_mails(latency: float) -> Iterator[int]:
    """Run a mail server that answers each command after so many seconds; give its port."""
    command = [sys.executable, "-m", "bench.mail_server", str(latency)]
    with subprocess.Popen(  # noqa: S603  # ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None  # noqa: S101
        assert server.stdin is not None  # noqa: S101
        yield int(server.stdout.readline())
        server.stdin.close()


async def _compare(url: str, port: int, latency: float, load: Load) -> None:
    database = Database(url)
    cast = await _prepare(database, load.recipients)
    plain, product = Way("a connection for each mail"), Way("the outbox")
    words = _words()
    working = _make_outbox(database, port, load)
    for turn in range(load.turns + 1):
        tries = [
            (plain, _send_plainly(port, words, load.mails)),
            (product, _work_off(cast, working, load)),
        ]
        for way, trying in tries:
            rate, cpu = await trying
            if turn:  # the first one warms up
                way.a_second.append(rate)
                way.cpu.append(cpu)
    click.echo(
        f"{load.mails} mails, {load.recipients} an escalation, {latency * 1000:.0f} ms an answer: "
        f"{plain}; {product}; {product.median / plain.median:.1f} times. Of CPU a mail "
        f"{statistics.median(plain.cpu):.2f} and {statistics.median(product.cpu):.2f} ms"
    )
    await database.dispose()


async def _prepare(database: Database, recipients: int) -> Cast:
    """Make an account with that many responders beside the one who escalates."""
    async with database.owning() as tx:
        await migrate.downgrade(tx, "base")
        await migrate.upgrade(tx)
    cast = await make_cast(database)
    rows = [
        {
            "account_id": cast.account_id,
            "id": new_id(),
            "email": f"engineer{number}@northwind.example",
            "name": f"Engineer {number}",
            "role": Role.ENGINEER,
            "created_at": datetime.now(UTC),
        }
        for number in range(recipients - 3)
    ]
    async with database.transaction(cast.account_id) as tx:
        if rows:
            await tx.execute(insert(users), rows)
    return cast


async def _escalate(cast: Cast) -> UUID:
    now = datetime.now(UTC)
    async with cast.database.transaction(cast.account_id) as tx:
        new = NewSession(problem_summary="Outlook asks for the password again and again")
        session = await sessions.start(tx, cast.alice, new, now=now)
        for label in ("Profile", "Credentials", "Conditional access"):
            await branches.add(tx, cast.alice, session.id, NewBranch(label=label), now=now)
        escalate = NewHandoff(session_id=session.id, intent=HandoffIntent.ESCALATE, notes=NOTES)
        made = await handing_off.create(tx, cast.alice, escalate, now=now, grace=timedelta(0))
        return made.handoff.id


def _words() -> Words:
    """Return what the mails of a turn say: whoever sends plainly has the words at hand."""
    body = "\n".join(["Alice is stuck and needs somebody to take over.", NOTES] * 3)
    return Words("Escalation: Outlook asks for the password again and again", body, f"<p>{body * 4}</p>")


async def _send_plainly(port: int, words: Words, mails: int) -> tuple[float, float]:
    async def send(number: int) -> None:
        message = EmailMessage()
        message["From"] = "Handoff <handoff@msp.example>"
        message["To"] = f"Engineer {number} <engineer{number}@northwind.example>"
        message["Subject"] = words.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="msp.example")
        message.set_content(f"{words.text}\nhttps://x.example/claim/{number}\n")
        message.add_alternative(f"{words.page}<a href='https://x.example/{number}'>", subtype="html")
        await aiosmtplib.send(message, hostname="127.0.0.1", port=port, start_tls=False)

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send(number) for number in range(mails)))
    return mails / (time.perf_counter() - began), (time.process_time() - used) * 1000 / mails


def _make_outbox(database: Database, port: int, load: Load) -> Outbox:
    url = f"smtp+plain://127.0.0.1:{port}"
    settings = Settings(secret=SecretStr(SECRET), smtp_url=SecretStr(url), mail_connections=load.connections)
    return process.make_outbox(settings, database, MailServer.from_url(url))


async def _work_off(cast: Cast, working: Outbox, load: Load) -> tuple[float, float]:
    for _ in range(max(1, load.mails // load.recipients)):
        await _escalate(cast)
    async with cast.database.owning() as tx:
        await tx.execute(text("ANALYZE"))  # PostgreSQL does so by itself; the tests' server leaves it off
    before, sent = await _count_sent(cast), 0
    began, used = time.perf_counter(), time.process_time()
    while batch := await working.send_batch():
        sent += batch
    took, used = time.perf_counter() - began, time.process_time() - used
    assert await _count_sent(cast) - before == sent, "some were not accepted"  # noqa: S101
    return sent / took, used * 1000 / sent


async def _count_sent(cast: Cast) -> int:
    is_sent = deliveries.c.status == DeliveryStatus.SENT
    async with cast.database.system_reading() as tx:
        return int(await tx.fetch_value(select(func.count()).select_from(deliveries).where(is_sent)))


async def _compare_batches(url: str, due: int) -> None:
    """Lease, begin and settle due deliveries, in batches of a hundred and one by one, in turns."""
    database = Database(url)
    cast = await _prepare(database, due // 10)
    for round_ in range(10):
        await _make_due(cast, round_)
    ways = {100: Way("in batches of 100"), 1: Way("one by one")}
    steps: dict[int, list[tuple[float, float]]] = {100: [], 1: []}
    for _ in range(_TURNS):
        for batch, way in ways.items():
            count = due // _TURNS * 9 // 10 if batch > 1 else due // _TURNS // 10
            leasing, settling = await _settle(cast, batch, count)
            steps[batch].append((count / leasing, count / settling))
            way.a_second.append(count / (leasing + settling))
    for batch, way in ways.items():
        leased, settled = (statistics.median(step) for step in zip(*steps[batch], strict=True))
        click.echo(f"{way}; leased alone {leased:,.0f}/s, begun and settled {settled:,.0f}/s")
    click.echo(f"{ways[100].median / ways[1].median:.0f} times in batches")
    await database.dispose()


async def _make_due(cast: Cast, round_: int) -> None:
    handoff_id, now = await _escalate(cast), datetime.now(UTC)
    async with cast.database.transaction(cast.account_id) as tx:
        told = policy.recipients(await stored_users.responders(tx), except_id=cast.alice.id)
        new = [NewDelivery(recipient_id=user.id, channel=Channel.EMAIL, due_at=now) for user in told]
        await ledger.add(tx, handoff_id, DeliveryKind.REMINDER, round_ + 1, new, at=now)


async def _settle(cast: Cast, batch: int, count: int) -> tuple[float, float]:
    """Take deliveries from due to SENT; return the seconds of leasing, and of beginning and settling."""
    leasing = settling = 0.0
    for _ in range(count // batch):
        lease, now, began = new_id(), datetime.now(UTC), time.perf_counter()
        until = now + timedelta(minutes=2)
        async with cast.database.system() as tx:
            leased = await system.lease_due(tx, lease, now=now, until=until, limit=batch)
        leasing += time.perf_counter() - began
        began, ids = time.perf_counter(), [each.id for each in leased]
        async with cast.database.transaction(cast.account_id) as tx:
            begun = await mail_beginnings.begin_all(tx, dict.fromkeys(ids), lease, at=now, until=until)
        attempt = Attempt(number=1, finished_at=now, accepted=True, code=250, text="OK")
        settlements = [
            Settlement(delivery_id=id_, attempt=attempt, status=DeliveryStatus.SENT) for id_ in begun
        ]
        async with cast.database.transaction(cast.account_id) as tx:
            await outbox.settle_all(tx, lease, settlements)
        settling += time.perf_counter() - began
        assert len(settlements) == batch, "too few were due"  # noqa: S101
    return leasing, settling


if __name__ == "__main__":
    main()
