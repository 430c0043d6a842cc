"""Whatever people, workers and the clock do in whatever order: the ledger agrees with a model of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from db import events, policies, presence, pushes, system, users
from db.enums import ASKING_KINDS, Channel, DeliveryKind, DeliveryStatus, HandoffIntent, HandoffState, Role
from db.enums import SkipReason as Why
from db.models import deliveries as ledger
from db.models import handoffs as handoff_table
from db.policies import AccountPolicy
from db.presence import ConnectionRow
from db.pushes import Push
from db.session import Database, Transaction, new_id
from db.users import UserRow
from notify.outbox import LEASE
from notify.policy import FEWEST_ATTEMPTS, GIVE_UP_AFTER
from resolvers import admin, handing_off, handoffs, people, reminders
from resolvers import sessions as taking_in
from resolvers.errors import HandoffAlreadyClaimed, HandoffNotClaimedByYou, HandoffNotOpen, Refusal
from resolvers.new_handoffs import NewHandoff
from resolvers.people import UserChanges
from resolvers.sessions import NewSession
from tests.delivery_model import (
    CLAIM_EXPIRES_AFTER,
    GRACE,
    REMIND_AFTER,
    UNSENT,
    Escalation,
    Key,
    Lease,
    Told,
    next_reminder,
)
from tests.post_office import ANSWERS, Clerk

T = TypeVar("T")
QUICK = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
THOROUGH = settings(QUICK, max_examples=250, stateful_step_count=60)
GIVEN_UP, CONFIRMED = (DeliveryStatus.FAILED, None), (DeliveryStatus.DELIVERED, None)
PEOPLE = {"ann": Role.ENGINEER, "ben": Role.ENGINEER, "cleo": Role.ADMIN}
A_PERSON = st.sampled_from(sorted(PEOPLE))
LEAVES = UserChanges(active=False)
MOST = 6
A_PICK = st.integers(0, MOST)
A_WHILE = st.sampled_from([31, 121, 700, 3700]).map(lambda seconds: timedelta(seconds=seconds))


@dataclass(eq=False)
class Shift:
    """What a worker is at."""

    clerk: Clerk
    lease: Lease = field(default_factory=Lease)
    waiting: list[tuple[Escalation, Told]] = field(default_factory=list)
    in_hand: tuple[Escalation, Told] | None = None


class Ledger(RuleBasedStateMachine):
    """Three people of an account and two workers; the service and the model go through the same."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._runner = runner
        self._database = database
        self._now = datetime(2026, 1, 31, tzinfo=UTC)
        self._account_id = new_id()
        self._people = runner.run(self._make_account())
        self._inactive: set[str] = set()
        self._screens: dict[str, UUID] = {}
        self._node_id = runner.run(self._make_node())
        self._all: list[Escalation] = []
        self._shifts = [Shift(Clerk(database, lambda: self._now)) for _ in range(2)]
        self._happened: Counter[tuple[str, UUID | None]] = Counter()
        self._before = runner.run(self._in(events.latest_sequence))
        self._ended: dict[Key, tuple[DeliveryStatus, Why | None]] = {}

    @precondition(lambda self: sum(it.state != HandoffState.CLOSED for it in self._all) < 2)
    @rule(who=A_PERSON)
    def escalate(self, who: str) -> None:
        """Somebody escalates a new session."""
        ann = self._people["ann"]
        new = NewSession(problem_summary="Stuck")
        session = self._run(lambda tx: taking_in.start(tx, ann, new, now=self._now))
        self._note("SESSION_STARTED", None)
        self._escalate(session.id, self._active(who))

    @precondition(lambda self: any(it.state == HandoffState.CLAIMED for it in self._all))
    @rule(who=A_PERSON)
    def escalate_again(self, who: str) -> None:
        """Somebody escalates a session that somebody had claimed."""
        old = next(it for it in self._all if it.state == HandoffState.CLAIMED)
        old.close()
        self._note("HANDOFF_CLOSED", old)
        self._escalate(old.session_id, self._active(who))

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK, who=A_PERSON)
    def claim(self, pick: int, who: str) -> None:
        """Somebody claims, whatever became of it."""
        self._claim(self._pick(pick), self._active(who))

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK, who=A_PERSON)
    def release(self, pick: int, who: str) -> None:
        """Somebody puts it back, theirs or not."""
        self._release(self._pick(pick), self._active(who))

    @precondition(lambda self: any(it.state == HandoffState.OPEN for it in self._all))
    @rule(pick=A_PICK, who=A_PERSON)
    def claim_in_vain(self, pick: int, who: str) -> None:
        """Somebody claims one that waits, and puts it back."""
        waiting = [it for it in self._all if it.state == HandoffState.OPEN]
        it, user = waiting[pick % len(waiting)], self._active(who)
        self._claim(it, user)
        self._release(it, user)

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK, who=A_PERSON)
    def resolve(self, pick: int, who: str) -> None:
        """Somebody resolves the session, once."""
        it = self._pick(pick)
        if it.state == HandoffState.CLOSED:
            return
        self._run(lambda tx: taking_in.resolve(tx, self._active(who), it.session_id, None, now=self._now))
        it.close()
        self._note("HANDOFF_CLOSED", it)
        self._note("SESSION_RESOLVED", None)

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK)
    def remind(self, pick: int) -> None:
        """The clock reminds of it, if a reminder is due."""
        it = self._pick(pick)
        self._now += timedelta(seconds=1)
        is_due = it.state == HandoffState.OPEN and bool(
            it.next_reminder_at and it.next_reminder_at <= self._now
        )

        done = self._run(lambda tx: reminders.remind(tx, it.id, now=self._now, grace=GRACE))

        assert done == is_due
        if done:
            it.round += 1
            it.next_reminder_at = next_reminder(it.opened_at, after=self._now)
            self._tell(it, DeliveryKind.REMINDER, but=it.by)
            self._note("ESCALATION_REMINDED", it)

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK)
    def expire(self, pick: int) -> None:
        """The clock ends a claim, if it has expired."""
        it = self._pick(pick)
        is_due = it.state == HandoffState.CLAIMED and bool(
            it.claim_expires_at and it.claim_expires_at <= self._now
        )

        done = self._run(lambda tx: reminders.expire_claim(tx, it.id, now=self._now, grace=GRACE))

        assert done == is_due
        if done:
            it.reopen(now=self._now)
            self._tell(it, DeliveryKind.ESCALATION, but=None)
            self._note("HANDOFF_RELEASED", it)

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK)
    def check_reach(self, pick: int) -> None:
        """The clock looks whether anybody could be told; whoever is to learn of it has learned it already."""
        it = self._pick(pick)
        self._run(lambda tx: reminders.check_reach(tx, it.id, now=self._now))

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK, who=A_PERSON)
    def acknowledge(self, pick: int, who: str) -> None:
        """Somebody says that they have seen it."""
        it = self._pick(pick)
        user = self._active(who)
        self._run(lambda tx: handoffs.acknowledge(tx, user, it.id, now=self._now))
        if it.state == HandoffState.OPEN and (user.id, it.round) not in it.seen:
            it.seen.add((user.id, it.round))
            it.confirm(user.id, it.round)
            self._note("HANDOFF_ACKNOWLEDGED", it)

    @precondition(lambda self: self._all)
    @rule(pick=A_PICK, which=st.integers(0, 12), confirmed=st.sampled_from([True, True, False]))
    def push(self, pick: int, which: int, *, confirmed: bool) -> None:
        """A dashboard of somebody who is told is written to, or confirms; either may come late."""
        it = self._pick(pick)
        if not it.told:
            return
        told = it.told[-1 - which % len(it.told)]
        record = pushes.confirm if confirmed else pushes.mark_sent
        self._run(lambda tx: record(tx, [Push(it.id, told.recipient, told.round)], at=self._now))
        (it.confirm if confirmed else it.write_push)(told.recipient, told.round)

    @rule(who=A_PERSON)
    def come_or_go(self, who: str) -> None:
        """Somebody opens their dashboard, or closes it."""
        user = self._people[who]
        if who in self._screens:
            screen = self._screens.pop(who)
            self._run(lambda tx: presence.disconnect(tx, screen))
        else:
            screen = self._screens[who] = new_id()
            row = ConnectionRow(self._account_id, screen, self._node_id, user.id, None, self._now)
            self._run(lambda tx: presence.connect(tx, row))

    @precondition(lambda self: not self._inactive and len(self._all) > 2)
    @rule(who=st.sampled_from(["ben", "cleo"]))
    def deactivate(self, who: str) -> None:
        """Somebody leaves the company; what they have claimed goes back into the queue."""
        user = self._people[who]
        self._run(lambda tx: people.change(tx, None, user.id, LEAVES, now=self._now, grace=GRACE))
        self._inactive.add(who)
        self._note("USER_DEACTIVATED", None)
        for it in self._all:
            if it.state == HandoffState.CLAIMED and it.claimer == user.id:
                it.reopen(now=self._now)
                self._tell(it, DeliveryKind.ESCALATION, but=None)
                self._note("HANDOFF_RELEASED", it)

    @rule(time=A_WHILE)
    def wait(self, time: timedelta) -> None:
        """Time passes."""
        self._now += time

    @precondition(lambda self: self._those(lambda shift: not shift.clerk.is_busy))
    @rule(pick=A_PICK)
    def work(self, pick: int) -> None:
        """A worker that has nothing to do takes what is due, up to its first mail."""
        idle = self._those(lambda shift: not shift.clerk.is_busy)
        shift = idle[pick % len(idle)]
        shift.lease = Lease()
        for it in self._all:
            due = [t for t in it.told if t.take(shift.lease, until=self._now + LEASE, now=self._now)]
            shift.waiting += [(it, told) for told in due]

        self._runner.run(shift.clerk.begin_batch())

        self._follow(shift)

    @precondition(lambda self: self._those(lambda shift: shift.in_hand is not None))
    @rule(pick=A_PICK, answer=st.sampled_from(ANSWERS))
    def answer(self, pick: int, answer: str) -> None:
        """The mail server answers a worker, which goes on to its next mail."""
        sending = self._those(lambda shift: shift.in_hand is not None)
        shift = sending[pick % len(sending)]
        assert shift.in_hand is not None
        (it, told), shift.in_hand = shift.in_hand, None

        self._runner.run(shift.clerk.answer(answer))

        if told.lease is shift.lease:
            self._settle(it, told, answer)
        self._follow(shift)

    @precondition(lambda self: self._those(lambda shift: shift.clerk.is_busy))
    @rule(pick=A_PICK)
    def die(self, pick: int) -> None:
        """A worker is killed; its leases stay until they end."""
        busy = self._those(lambda shift: shift.clerk.is_busy)
        shift = busy[pick % len(busy)]
        self._runner.run(shift.clerk.die())
        shift.in_hand = None
        shift.waiting.clear()

    @invariant()
    def the_ledger_agrees(self) -> None:
        """Compare all that the model knows with what is stored."""
        self._notice_unreached()
        rows = self._runner.run(self._in(_read_ledger))
        stored = {key: (row.status, row.reason, row.attempts) for key, row in rows.items()}
        told = {key: (told.status, told.reason, told.attempts) for key, told in self._told().items()}
        assert {key: stored.get(key) for key in stored | told if stored.get(key) != told.get(key)} == {}
        states = self._runner.run(self._in(_read_states))
        assert states == {it.id: (it.state, it.claimer, it.round) for it in self._all}

    @invariant()
    def the_events_have_no_gap(self) -> None:
        """Compare the log with what happened."""
        self._notice_unreached()
        log = self._runner.run(self._in(lambda tx: events.after(tx, self._before, limit=10_000)))
        assert [event.sequence - self._before for event in log] == list(range(1, len(log) + 1))
        logged = Counter((event.kind.value, event.handoff_id) for event in log)
        assert (logged - self._happened, self._happened - logged) == (Counter(), Counter())

    @invariant()
    def every_end_is_one_end_and_nothing_waits_for_a_handoff_that_is_gone(self) -> None:
        """Check what must hold whatever the model says."""
        stored = self._runner.run(self._in(_read_ledger))
        states = self._runner.run(self._in(_read_states))
        for key, row in stored.items():
            is_ended = row.status not in UNSENT and (key[2], row.status) != (Channel.PUSH, "SENT")
            if is_ended:
                end = (row.status, row.reason)
                before = self._ended.setdefault(key, end)
                # A push that was given up counts as delivered where its receipt still spares the mail.
                is_late = key[2] == Channel.PUSH and (before, end) == (GIVEN_UP, CONFIRMED)
                assert before == end or is_late
                self._ended[key] = end
            elif key[3] in ASKING_KINDS and states[key[0]][0] != HandoffState.OPEN:
                # Begun before the end, and to be looked at again: its worker died, or was put off.
                assert (key[2], row.attempts > 0) == (Channel.EMAIL, True)
            assert (row.reason is None) == (row.status != DeliveryStatus.SKIPPED)
            assert row.error is not None or row.status != DeliveryStatus.FAILED
            assert row.sent_at is not None or row.status != DeliveryStatus.SENT

    def teardown(self) -> None:
        """Leave no work to the workers of the next example."""
        for shift in self._shifts:
            self._runner.run(shift.clerk.die())
        ended = {
            "status": DeliveryStatus.SKIPPED,
            "reason": Why.CLOSED,
            "lease_until": None,
            "leased_by": None,
        }
        open_ = update(ledger).where(ledger.c.status.in_(UNSENT)).values(ended)
        self._run(lambda tx: tx.execute(open_))

    def _claim(self, it: Escalation, user: UserRow) -> None:
        refused: type[Refusal] | None = None
        if it.state == HandoffState.CLOSED:
            refused = HandoffNotOpen
        elif it.state == HandoffState.CLAIMED and it.claimer != user.id:
            refused = HandoffAlreadyClaimed
        self._try(lambda tx: handoffs.claim(tx, user, it.id, now=self._now), refused)
        if it.state == HandoffState.OPEN:
            it.claim(user.id, now=self._now)
            self._note("HANDOFF_CLAIMED", it)

    def _release(self, it: Escalation, user: UserRow) -> None:
        holds = it.state == HandoffState.CLAIMED and (it.claimer == user.id or user.role == Role.ADMIN)
        refused = None if holds else HandoffNotClaimedByYou
        release = partial(handoffs.release, now=self._now, grace=GRACE, claimed_by_id=it.claimer)
        self._try(lambda tx: release(tx, user, it.id, None), refused)
        if holds:
            it.reopen(now=self._now)
            self._tell(it, DeliveryKind.ESCALATION, but=user.id)
            self._note("HANDOFF_RELEASED", it)

    def _pick(self, pick: int) -> Escalation:
        """Choose one that is not closed, if there is one; the greatest number chooses among all."""
        alive = [it for it in self._all if it.state != HandoffState.CLOSED]
        choice = alive if alive and pick < MOST else self._all
        return choice[pick % len(choice)]

    def _those(self, are: Callable[[Shift], bool]) -> list[Shift]:
        return [shift for shift in self._shifts if are(shift)]

    def _escalate(self, session_id: UUID, user: UserRow) -> None:
        new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE)
        made = self._run(lambda tx: handing_off.create(tx, user, new, now=self._now, grace=GRACE))
        first = next_reminder(self._now, after=self._now)
        it = Escalation(made.handoff.id, session_id, user.id, self._now, first)
        self._tell(it, DeliveryKind.ESCALATION, but=user.id)
        self._all.append(it)
        self._note("HANDOFF_CREATED", it)

    def _tell(self, it: Escalation, kind: DeliveryKind, *, but: UUID | None) -> None:
        people = [user.id for name, user in self._people.items() if name not in self._inactive]
        online = {self._people[name].id for name in self._screens}
        it.begin_round(kind, [id_ for id_ in people if id_ != but], online, now=self._now)

    def _settle(self, it: Escalation, told: Told, answer: str) -> None:
        """Let the model record an answer."""
        is_tired = told.attempts >= FEWEST_ATTEMPTS and self._now - told.created_at >= GIVE_UP_AFTER
        if answer == "accepted":
            told.end(DeliveryStatus.SENT)
        elif answer == "refused" or is_tired:
            told.end(DeliveryStatus.FAILED)
        else:
            told.end(DeliveryStatus.PENDING)
            key = (it.id, told.recipient, told.channel, told.kind, told.round)
            told.due_at = self._runner.run(self._in(_read_ledger))[key].due_at
            assert timedelta(seconds=2) < told.due_at - self._now <= timedelta(minutes=10)

    def _follow(self, shift: Shift) -> None:
        """Let the model do what a worker did on its way to its next mail."""
        stored = self._runner.run(self._in(_read_ledger))
        for it, told in list(shift.waiting):
            row = stored[it.id, told.recipient, told.channel, told.kind, told.round]
            if told.lease is not shift.lease:
                continue  # lost; the worker can do nothing to it
            why_not = it.why_not(told, is_active=told.recipient not in self._gone())
            if row.id == shift.clerk.in_hand:
                assert why_not is None
                told.status, told.attempts = DeliveryStatus.SENDING, told.attempts + 1
                told.lease_until = self._now + LEASE + shift.clerk.timeout
                shift.in_hand = (it, told)
            elif row.leased_by is None:
                assert why_not is not None
                told.end(DeliveryStatus.SKIPPED, why_not)
            else:
                continue
            it.fail_push(told)
            shift.waiting.remove((it, told))
        if not shift.clerk.is_busy:
            assert all(told.lease is not shift.lease for _, told in shift.waiting)
            shift.waiting.clear()

    def _notice_unreached(self) -> None:
        """Let the model tell the one who escalated what the last step may have left without hope."""
        for it in self._all:
            if it.is_unreached() and it.mail_escalator(DeliveryKind.UNREACHED, now=self._now):
                self._note("ESCALATION_UNREACHED", it)

    def _told(self) -> dict[Key, Told]:
        return {(it.id, t.recipient, t.channel, t.kind, t.round): t for it in self._all for t in it.told}

    def _gone(self) -> set[UUID]:
        return {self._people[name].id for name in self._inactive}

    def _active(self, who: str) -> UserRow:
        """Return the person, or Ann if they have left."""
        return self._people["ann" if who in self._inactive else who]

    def _note(self, kind: str, it: Escalation | None) -> None:
        self._happened[kind, None if it is None else it.id] += 1

    def _try(self, act: Callable[[Transaction], Awaitable[Any]], refused: type[Refusal] | None) -> None:
        """Act, or check that the service refuses it as the model does."""
        if refused is None:
            self._run(act)
        else:
            with pytest.raises(refused):
                self._run(act)

    def _run(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        return self._runner.run(self._in(act, write=True))

    async def _in(self, act: Callable[[Transaction], Awaitable[T]], *, write: bool = False) -> T:
        open_transaction = self._database.transaction if write else self._database.reading
        async with open_transaction(self._account_id) as tx:
            return await act(tx)

    async def _make_account(self) -> dict[str, UserRow]:
        policy = AccountPolicy(reminder_after=REMIND_AFTER, claim_expires_after=CLAIM_EXPIRES_AFTER)
        async with self._database.transaction(self._account_id) as tx:
            await admin.create_account(tx, str(self._account_id), now=self._now)
            await policies.store(tx, policy)
            ids = {}
            for name, role in PEOPLE.items():
                email = f"{name}@{self._account_id}.example"
                ids[name] = await admin.add_user(tx, email=email, name=name, role=role, now=self._now)
            rows = await users.by_ids(tx, list(ids.values()))
        return {name: rows[user_id] for name, user_id in ids.items()}

    async def _make_node(self) -> UUID:
        """Make a node that never falls silent."""
        node_id = new_id()
        async with self._database.system() as tx:
            await system.add_node(tx, node_id, "model", now=self._now + timedelta(days=365))
        return node_id


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "effort", [QUICK, pytest.param(THOROUGH, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_the_ledger_agrees_with_the_model_after_every_step(database_url: str, effort: settings) -> None:
    database = Database(database_url)
    with asyncio.Runner() as runner:

        class OnThisDatabase(Ledger):
            def __init__(self) -> None:
                super().__init__(runner, database)

        try:
            run_state_machine_as_test(OnThisDatabase, settings=effort)
        finally:
            runner.run(database.dispose())


async def _read_ledger(tx: Transaction) -> dict[Key, Any]:
    rows = (await tx.connection.execute(select(ledger).where(tx.own(ledger)))).all()
    found = {(row.handoff_id, row.recipient_id, row.channel, row.kind, row.round): row for row in rows}
    assert len(found) == len(rows)
    return found


async def _read_states(tx: Transaction) -> dict[UUID, tuple[HandoffState, UUID | None, int]]:
    rows = await tx.connection.execute(select(handoff_table).where(tx.own(handoff_table)))
    return {row.id: (row.state, row.claimed_by_id, row.round) for row in rows}
