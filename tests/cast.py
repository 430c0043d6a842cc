"""The cast: Alice owns the session, Bob may claim it, Charlie must see nothing of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update

from db import deliveries, events, psa_connections, users
from db.enums import ApiKeyScope, HandoffIntent, PsaProvider, PsaStatus, Role
from db.events import EventRow
from db.models import metadata
from db.models import users as users_table
from db.pages import Page
from db.psa_connections import PsaConnectionRow
from db.session import Database, Transaction, new_id
from db.sessions import SessionRow
from db.users import UserRow
from resolvers import admin, api_keys, branches, handing_off, people, sessions
from resolvers.api_keys import NewApiKey
from resolvers.branches import NewBranch
from resolvers.new_handoffs import NewHandoff
from resolvers.people import UserChanges
from resolvers.sessions import NewSession


@dataclass(frozen=True, slots=True)
class Cast:
    """Two accounts and their people."""

    database: Database
    account_id: UUID
    team_id: UUID  #: of Alice and Bob
    alice: UserRow  #: ENGINEER, owns the sessions
    bob: UserRow  #: ENGINEER
    olivia: UserRow  #: OWNER
    adam: UserRow  #: ADMIN
    vera: UserRow  #: VIEWER
    ina: UserRow  #: ENGINEER, inactive
    other_account_id: UUID
    charlie: UserRow  #: ENGINEER of the other account

    @property
    def responders(self) -> list[UserRow]:
        """Everyone of the account who may be told."""
        return [self.alice, self.bob, self.olivia, self.adam]

    async def start_session(
        self, summary: str = "VPN drops every hour", *, in_team: bool = False, owner: UserRow | None = None
    ) -> SessionRow:
        """Start a session of Alice's."""
        owner = owner or self.alice
        new = NewSession(problem_summary=summary, team_id=self.team_id if in_team else None)
        async with self.database.transaction(owner.account_id) as tx:
            return await sessions.start(tx, owner, new, now=datetime.now(UTC))

    async def one_of_each(self, owner: UserRow) -> dict[str, str]:
        """Make one of all that has an id in the owner's account; return the ids by the API's type names.

        There is a delivery only where the account has somebody else to tell. `Colleague` is another user,
        who may be changed and deleted.
        """
        now = datetime.now(UTC)
        async with self.database.transaction(owner.account_id) as tx:
            team_id = await admin.create_team(tx, f"Team {new_id()}", [owner.id], now=now)
            new = NewSession(problem_summary="One of each", team_id=team_id)
            session = await sessions.start(tx, owner, new, now=now)
            session = await branches.add(tx, owner, session.id, NewBranch(label="DNS"), now=now)
            escalate = NewHandoff(session_id=session.id, intent=HandoffIntent.ESCALATE)
            made = await handing_off.create(tx, owner, escalate, now=now, grace=timedelta(0))
            told = (await deliveries.of_handoffs(tx, [made.handoff.id], Page(1)))[made.handoff.id]
            psa = await make_psa_connection(tx, now=now)
            key = await api_keys.create(tx, owner, "One of each", ApiKeyScope.FULL, actor_id=None, now=now)
            email = f"{new_id()}@example.com"
            colleague_id = await admin.add_user(tx, email=email, name="Colleague", role=Role.VIEWER, now=now)
        ids = {
            "Account": owner.account_id,
            "Team": team_id,
            "User": owner.id,
            "Colleague": colleague_id,
            "Session": session.id,
            "SessionBranch": session.active_branch_id,
            "Handoff": made.handoff.id,
            "ApiKey": key.key.id,
            "PsaConnection": psa.id,
        }
        if told:
            ids["Delivery"] = told[0].id
        return {kind: str(id_) for kind, id_ in ids.items()}

    async def make_key(
        self, user: UserRow, scope: ApiKeyScope = ApiKeyScope.FULL, *, name: str = "Assistant"
    ) -> NewApiKey:
        """Make an API key of the user's."""
        async with self.database.transaction(user.account_id) as tx:
            return await api_keys.create(tx, user, name, scope, actor_id=None, now=datetime.now(UTC))

    async def last_event(self, account_id: UUID | None = None) -> int:
        """Return the number of the account's last event: a refusal leaves it as it was."""
        async with self.database.reading(account_id or self.account_id) as tx:
            return await events.latest_sequence(tx)

    async def newest_event(self) -> EventRow:
        """Return what happened last in the account."""
        async with self.database.reading(self.account_id) as tx:
            (event,) = await events.after(tx, await events.latest_sequence(tx) - 1, limit=1)
            return event

    async def change(self, user: UserRow, **values: object) -> UserRow:
        """Set columns of a user behind the service's back, and return the user as they are now."""
        async with self.database.transaction(user.account_id) as tx:
            await tx.execute(update(users_table).where(users_table.c.id == user.id).values(**values))
            return (await users.by_ids(tx, [user.id]))[user.id]

    async def all_rows(self) -> dict[str, list[str]]:
        """Return every row, to compare before with after.

        Not of the nodes, whose hearts beat, and not of the audit log, which grows with each refusal.
        """
        async with self.database.system_reading() as tx:
            return {
                table.name: sorted(str(row) for row in await tx.connection.execute(select(table)))
                for table in metadata.sorted_tables
                if table.name not in {"nodes", "audit_log"}
            }


async def make_cast(database: Database) -> Cast:
    """Store the cast."""
    now = datetime.now(UTC)
    people = {
        "alice": Role.ENGINEER,
        "bob": Role.ENGINEER,
        "olivia": Role.OWNER,
        "adam": Role.ADMIN,
        "vera": Role.VIEWER,
        "ina": Role.ENGINEER,
    }
    async with database.transaction(new_id()) as tx:
        account_id = await admin.create_account(tx, "Northwind", now=now)
        found = {name: await _add(tx, name, "northwind.example", role) for name, role in people.items()}
        await deactivate(tx, found["ina"])
        found["ina"] = (await users.by_ids(tx, [found["ina"].id]))[found["ina"].id]
        team_id = await admin.create_team(tx, "Networks", [found["alice"].id, found["bob"].id], now=now)
    async with database.transaction(new_id()) as tx:
        other_account_id = await admin.create_account(tx, "Fabrikam", now=now)
        charlie = await _add(tx, "charlie", "fabrikam.example", Role.ENGINEER)
    return Cast(
        database=database,
        account_id=account_id,
        team_id=team_id,
        other_account_id=other_account_id,
        charlie=charlie,
        **found,
    )


async def deactivate(tx: Transaction, user: UserRow) -> None:
    """Deactivate a user, as the command line does."""
    now = datetime.now(UTC)
    await people.change(tx, None, user.id, UserChanges(active=False), now=now, grace=timedelta(0))


async def make_psa_connection(
    tx: Transaction,
    *,
    now: datetime,
    provider: PsaProvider = PsaProvider.HALOPSA,
    base_url: str = "https://psa.invalid",
    automatic: bool = False,
) -> PsaConnectionRow:
    """Store a connection behind the service's back; nobody can open its credentials."""
    row = PsaConnectionRow(
        account_id=tx.account_id,
        id=new_id(),
        provider=provider,
        name=f"PSA {new_id()}",
        base_url=base_url,
        config={},
        status=PsaStatus.UNTESTED,
        last_error=None,
        checked_at=None,
        paused=False,
        automatic=automatic,
        created_at=now,
    )
    await psa_connections.add(tx, row, "sealed")
    return row


async def _add(tx: Transaction, name: str, domain: str, role: Role) -> UserRow:
    email = f"{name}@{domain}"
    user_id = await admin.add_user(tx, email=email, name=name.title(), role=role, now=datetime.now(UTC))
    return (await users.by_ids(tx, [user_id]))[user_id]
