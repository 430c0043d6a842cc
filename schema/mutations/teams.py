"""Managing the teams of an account."""

from typing import Annotated

import strawberry

from resolvers import teams
from resolvers.errors import Refusal
from schema.context import Info
from schema.ids import read_id
from schema.mutations.transaction import Argument, transaction
from schema.people_inputs import CreateTeamInput, TeamMemberInput, UpdateTeamInput
from schema.people_payloads import (
    CreateTeamResult,
    CreateTeamSuccess,
    TeamMembersPayload,
    UpdateTeamResult,
    UpdateTeamSuccess,
    team_problem,
)
from schema.permissions import admins
from schema.types.people import Team

_MEMBER = "An unknown or foreign team or user is NOT_FOUND. For owners and admins."


@strawberry.type
class TeamMutations:
    """Create, update, add and remove members."""

    @strawberry.mutation(
        description="Make a team. An unknown or foreign user is NOT_FOUND. For owners and admins.",
        extensions=admins(),
    )
    async def create_team(
        self,
        info: Info,
        input: Annotated[CreateTeamInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> CreateTeamResult:
        """Make a team."""
        viewer = await info.context.viewer()
        members = [read_id(member_id) for member_id in input.member_ids or ()]
        try:
            async with transaction(info) as tx:
                team = await teams.create(tx, viewer, input.name, members, now=info.context.now)
        except Refusal as refusal:
            return team_problem(refusal)
        return CreateTeamSuccess(team=Team.from_row(team))

    @strawberry.mutation(
        description="Rename a team. An unknown or foreign one is NOT_FOUND. For owners and admins.",
        extensions=admins(),
    )
    async def update_team(
        self,
        info: Info,
        input: Annotated[UpdateTeamInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> UpdateTeamResult:
        """Rename a team."""
        viewer, team_id = await info.context.viewer(), read_id(input.team_id)
        try:
            async with transaction(info) as tx:
                team = await teams.rename(tx, viewer, team_id, input.name, now=info.context.now)
        except Refusal as refusal:
            return team_problem(refusal)
        return UpdateTeamSuccess(team=Team.from_row(team))

    @strawberry.mutation(
        description=(
            f"Make a user a member of a team; repeated, it changes nothing. {_MEMBER} Somebody who was "
            "removed is BAD_USER_INPUT."
        ),
        extensions=admins(),
    )
    async def add_team_member(
        self,
        info: Info,
        input: Annotated[TeamMemberInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> TeamMembersPayload:
        """Add a member."""
        return await _set_member(info, input, is_member=True)

    @strawberry.mutation(
        description=f"Take a user out of a team; repeated, it changes nothing. {_MEMBER}",
        extensions=admins(),
    )
    async def remove_team_member(
        self,
        info: Info,
        input: Annotated[TeamMemberInput, Argument],  # noqa: A002 (every mutation's name)
    ) -> TeamMembersPayload:
        """Remove a member."""
        return await _set_member(info, input, is_member=False)


async def _set_member(info: Info, wanted: TeamMemberInput, *, is_member: bool) -> TeamMembersPayload:
    viewer = await info.context.viewer()
    team_id, user_id = read_id(wanted.team_id), read_id(wanted.user_id)
    async with transaction(info) as tx:
        team = await teams.set_member(tx, viewer, team_id, user_id, is_member=is_member, now=info.context.now)
    return TeamMembersPayload.from_row(team)
