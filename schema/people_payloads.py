"""What the mutations about users and teams answer."""

from typing import Annotated
from uuid import UUID

import strawberry

from db.teams import TeamRow
from resolvers import errors
from resolvers.errors import Refusal
from schema.context import Info
from schema.payloads import Problem
from schema.types.people import Team, User, load_optional_user


@strawberry.type(description="The address is somebody's already: each is one person's of one account.")
class EmailTaken(Problem):
    """A refusal."""

    user_id: strawberry.Private[UUID | None]

    @strawberry.field(
        description="Who of your account has it, maybe somebody deleted; null: somebody of another account."
    )
    async def taken_by(self, info: Info) -> User | None:
        """Load who has it."""
        return await load_optional_user(info, self.user_id)


@strawberry.type(description="They are the only active owner of the account, which must have one.")
class LastOwner(Problem):
    """A refusal."""


@strawberry.type(description="The account has a team of this name already.")
class TeamNameTaken(Problem):
    """A refusal."""


@strawberry.type(description="The person was added.")
class AddUserSuccess:
    """Success of addUser."""

    user: User = strawberry.field(description="The person.")


@strawberry.type(description="The person is as was wanted.")
class UpdateUserSuccess:
    """Success of updateUser."""

    user: User = strawberry.field(description="The person as they are now.")


@strawberry.type(description="The person is deleted: in no list, but history keeps their name.")
class DeleteUserSuccess:
    """Success of deleteUser."""

    user: User = strawberry.field(description="The person as they are now.")


@strawberry.type(description="The team was made.")
class CreateTeamSuccess:
    """Success of createTeam."""

    team: Team = strawberry.field(description="The team.")


@strawberry.type(description="The team is as was wanted.")
class UpdateTeamSuccess:
    """Success of updateTeam."""

    team: Team = strawberry.field(description="The team as it is now.")


@strawberry.type(description="The team has the members that were wanted.")
class TeamMembersPayload:
    """Answer of the mutations about members."""

    team: Team = strawberry.field(description="The team with its members.")

    @classmethod
    def from_row(cls, row: TeamRow) -> "TeamMembersPayload":
        """Show a stored team."""
        return cls(team=Team.from_row(row))


AddUserResult = Annotated[
    AddUserSuccess | EmailTaken, strawberry.union("AddUserResult", description="How addUser ended.")
]
UpdateUserResult = Annotated[
    UpdateUserSuccess | EmailTaken | LastOwner,
    strawberry.union("UpdateUserResult", description="How updateUser ended."),
]
DeleteUserResult = Annotated[
    DeleteUserSuccess | LastOwner,
    strawberry.union("DeleteUserResult", description="How deleteUser ended."),
]
CreateTeamResult = Annotated[
    CreateTeamSuccess | TeamNameTaken,
    strawberry.union("CreateTeamResult", description="How createTeam ended."),
]
UpdateTeamResult = Annotated[
    UpdateTeamSuccess | TeamNameTaken,
    strawberry.union("UpdateTeamResult", description="How updateTeam ended."),
]


def add_problem(refusal: Refusal) -> EmailTaken:
    """Show a refusal of addUser as its type; one that has none is raised again as an error."""
    if isinstance(refusal, errors.EmailTaken):
        user_id = None if refusal.taken_by is None else refusal.taken_by.id
        return EmailTaken(message=refusal.message, user_id=user_id)
    raise refusal


def delete_problem(refusal: Refusal) -> LastOwner:
    """Show a refusal of deleteUser as its type; one that has none is raised again as an error."""
    if isinstance(refusal, errors.LastOwner):
        return LastOwner(message=refusal.message)
    raise refusal


def update_problem(refusal: Refusal) -> EmailTaken | LastOwner:
    """Show a refusal of updateUser as its type; one that has none is raised again as an error."""
    if isinstance(refusal, errors.LastOwner):
        return delete_problem(refusal)
    return add_problem(refusal)


def team_problem(refusal: Refusal) -> TeamNameTaken:
    """Show a refusal about a team's name as its type; one that has none is raised again as an error."""
    if isinstance(refusal, errors.TeamNameTaken):
        return TeamNameTaken(message=refusal.message)
    raise refusal
