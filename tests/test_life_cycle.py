"""Whatever people do in whatever order: the database agrees with a model of the handoff's life cycle."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from db import events, queue, sessions, users
from db import handoffs as stored
from db.enums import HandoffIntent, HandoffState, Role, SessionStatus, SkipReason
from db.models import deliveries
from db.pages import Page
from db.queue import QueueFilter, QueueOrder
from db.session import Database, Transaction, new_id
from db.users import UserRow
from resolvers import admin, handing_off, handoffs
from resolvers import sessions as taking_in
from resolvers.errors import Refusal
from resolvers.new_handoffs import NewHandoff
from resolvers.sessions import NewSession
from tests.life_cycle import WAITS_AS, Case, Outcome, Passed

T = TypeVar("T")
GRACE = timedelta(seconds=30)
PEOPLE = {"ann": Role.ENGINEER, "ben": Role.ENGINEER, "cleo": Role.ADMIN, "viv": Role.VIEWER}
QUICK = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
A_PERSON = st.sampled_from(sorted(PEOPLE))
AN_INTENT = st.sampled_from(list(HandoffIntent))


class LifeCycle(RuleBasedStateMachine):
    """Four people of an account at work; the service and the model go through the same."""

    cases = Bundle("cases")
    passed = Bundle("passed")

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._runner = runner
        self._database = database
        self._now = datetime(2026, 1, 31, tzinfo=UTC)
        self._account_id = new_id()
        self._people = runner.run(self._make_people())
        self._cases: list[Case] = []
        self._happened: list[tuple[str, UUID | None]] = []
        self._before = runner.run(self._in(events.latest_sequence))

    @rule(target=cases)
    def start(self) -> Case:
        """Ann starts a session."""
        ann, new = self._people["ann"], NewSession(problem_summary="Stuck")
        session = self._run(lambda tx: taking_in.start(tx, ann, new, now=self._now))
        self._cases.append(Case(session.id))
        self._happened.append(("SESSION_STARTED", None))
        return self._cases[-1]

    @rule(target=passed, case=cases, who=A_PERSON, intent=AN_INTENT)
    def hand_off(self, case: Case, who: str, intent: HandoffIntent) -> Any:  # noqa: ANN401 (hypothesis's own)
        """Somebody parks or escalates a session, whatever it is about."""
        user, unfinished = self._people[who], case.unfinished
        refused = case.refusal_of_handoff(user)
        new = NewHandoff(session_id=case.id, intent=intent)

        made = self._try(lambda tx: handing_off.create(tx, user, new, now=self._now, grace=GRACE), refused)

        if made is None:
            return multiple()
        if unfinished is not None:
            self._close(unfinished)
        passed = Passed(made.handoff.id, case, intent, by=user.id)
        passed.tell(self._people.values(), except_for=user.id)
        case.handoffs.append(passed)
        case.status, case.escalated_to = WAITS_AS[intent], None
        self._happened.append(("HANDOFF_CREATED", passed.id))
        return passed

    @rule(passed=passed, crowd=st.lists(A_PERSON, min_size=1, max_size=3))
    def claim_at_once(self, passed: Passed, crowd: list[str]) -> None:
        """Some people claim a handoff at the same moment; of those who may, one wins if it is open."""
        was_open = passed.state == HandoffState.OPEN

        async def claim(user: UserRow) -> object:
            try:
                return await self._in(
                    lambda tx: handoffs.claim(tx, user, passed.id, now=self._now), write=True
                )
            except Refusal as refusal:
                return type(refusal)

        people = [self._people[who] for who in crowd]
        ends = self._runner.run(_together([claim(user) for user in people]))

        winners = {user.id for user, end in zip(people, ends, strict=True) if not isinstance(end, type)}
        if was_open and any(user.is_responder for user in people):
            (winner,) = winners
            passed.claim(winner)
            self._happened.append(("HANDOFF_CLAIMED", passed.id))
        for user, end in zip(people, ends, strict=True):
            assert (end if isinstance(end, type) else None) == passed.refusal_of_claim(user)

    @rule(passed=passed, who=A_PERSON, by_holder=st.booleans())
    def release(self, passed: Passed, who: str, by_holder: bool) -> None:
        """The one who holds a handoff puts it back, or somebody else tries to.

        Who holds it was a race, and may be another when hypothesis tells the same story again. So a story
        says whether it is the holder, and what follows from it is the same each time. Without a name it would
        depend on who won earlier races, too.
        """
        user = self._of(passed.claimer) if by_holder and passed.claimer else self._people[who]
        if user.id == passed.claimer and not by_holder:
            user = self._people["viv"]
        refused = passed.refusal_of_release(user)

        released = self._try(
            lambda tx: handoffs.release(
                tx, user, passed.id, None, now=self._now, grace=GRACE, claimed_by_id=passed.claimer
            ),
            refused,
        )

        if released is not None:
            passed.reopen(self._people.values(), releaser=user.id)
            self._happened.append(("HANDOFF_RELEASED", passed.id))

    @rule(case=cases, who=A_PERSON)
    def resolve(self, case: Case, who: str) -> None:
        """Somebody resolves a session, or tries to once more."""
        user, unfinished = self._people[who], case.unfinished
        refused = case.refusal_of_resolution(user)

        resolved = self._try(lambda tx: taking_in.resolve(tx, user, case.id, None, now=self._now), refused)

        if resolved is not None:
            case.status = SessionStatus.RESOLVED
            if unfinished is not None:
                self._close(unfinished)
            self._happened.append(("SESSION_RESOLVED", None))

    @invariant()
    def the_database_agrees(self) -> None:
        """Compare all that the model knows with what is stored."""
        everything = [passed for case in self._cases for passed in case.handoffs]
        waiting = sorted((p.id for p in everything if p.state == HandoffState.OPEN), reverse=True)
        assert self._runner.run(self._in(self._read)) == {
            "sessions": {
                case.id: (case.status, case.escalated_to, len(case.handoffs)) for case in self._cases
            },
            "handoffs": {p.id: (p.intent, p.by, p.state, p.claimer, p.round) for p in everything},
            "deliveries": {(p.id, *key): status for p in everything for key, status in p.told.items()},
            "queue": waiting,
            "events": [(self._before + number, *what) for number, what in enumerate(self._happened, start=1)],
        }

    async def _read(self, tx: Transaction) -> dict[str, object]:
        found = await sessions.by_ids(tx, [case.id for case in self._cases])
        rows = await stored.by_ids(tx, [p.id for case in self._cases for p in case.handoffs])
        told = await tx.connection.execute(select(deliveries).where(tx.own(deliveries)))
        waiting = await queue.page(tx, QueueFilter(), QueueOrder.NEWEST_FIRST, Page(100))
        log = await events.after(tx, self._before, limit=1000)
        return {
            "sessions": {s.id: (s.status, s.escalated_to_id, s.handoff_count) for s in found.values()},
            "handoffs": {
                h.id: (h.intent, h.handed_off_by_id, h.state, h.claimed_by_id, h.round) for h in rows.values()
            },
            "deliveries": {
                (d.handoff_id, d.round, d.kind, d.recipient_id): (d.status, d.reason) for d in told
            },
            "queue": [h.id for h in waiting],
            "events": [(event.sequence, event.kind.value, event.handoff_id) for event in log],
        }

    def _of(self, user_id: UUID) -> UserRow:
        return next(user for user in self._people.values() if user.id == user_id)

    def _close(self, passed: Passed) -> None:
        passed.state = HandoffState.CLOSED
        passed.skip(SkipReason.CLOSED)
        self._happened.append(("HANDOFF_CLOSED", passed.id))

    def _try(self, act: Callable[[Transaction], Awaitable[T]], refused: Outcome) -> T | None:
        """Act; check that the service refuses it as the model does, and return None then."""
        if refused is None:
            return self._run(act)
        with pytest.raises(refused):
            self._run(act)
        return None

    def _run(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        self._now += timedelta(seconds=1)
        return self._runner.run(self._in(act, write=True))

    async def _in(self, act: Callable[[Transaction], Awaitable[T]], *, write: bool = False) -> T:
        open_transaction = self._database.transaction if write else self._database.reading
        async with open_transaction(self._account_id) as tx:
            return await act(tx)

    async def _make_people(self) -> dict[str, UserRow]:
        async with self._database.transaction(self._account_id) as tx:
            await admin.create_account(tx, str(self._account_id), now=self._now)
            ids = {}
            for name, role in PEOPLE.items():
                email = f"{name}@{self._account_id}.example"
                ids[name] = await admin.add_user(tx, email=email, name=name, role=role, now=self._now)
            rows = await users.by_ids(tx, list(ids.values()))
        return {name: rows[user_id] for name, user_id in ids.items()}


@pytest.mark.unmeasured
def test_the_database_agrees_with_the_model_after_every_step(database_url: str) -> None:
    database = Database(database_url)
    with asyncio.Runner() as runner:

        class OnThisDatabase(LifeCycle):
            def __init__(self) -> None:
                super().__init__(runner, database)

        try:
            run_state_machine_as_test(OnThisDatabase, settings=QUICK)
        finally:
            runner.run(database.dispose())


async def _together(acts: list[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*acts)
