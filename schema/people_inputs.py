"""The inputs of the mutations about users and teams."""

import strawberry

from db.enums import Role
from resolvers.people import NewUser, UserChanges


@strawberry.input(description="A person to be added to your account.")
class AddUserInput:
    """Input of addUser."""

    email: str = strawberry.field(
        description="The address that mails go to, and by which they sign in; at most 254 characters."
    )
    name: str = strawberry.field(description="The person's name; at most 200 characters.")
    role: Role = strawberry.field(
        default=Role.ENGINEER, description="What they may do. To make an owner takes an owner."
    )

    def new(self) -> NewUser:
        """Return the wish in the words of the domain."""
        return NewUser(email=self.email, name=self.name, role=self.role)


@strawberry.input(description="What to change of a person. What is left out or null stays.")
class UpdateUserInput:
    """Input of updateUser."""

    user_id: strawberry.ID = strawberry.field(description="The person.")
    name: str | None = strawberry.field(default=None, description="Their name; at most 200 characters.")
    email: str | None = strawberry.field(default=None, description="Their address; at most 254 characters.")
    role: Role | None = strawberry.field(default=None, description="What they may do. Not your own.")
    active: bool | None = strawberry.field(
        default=None,
        description=(
            "False deactivates them, which nobody does to themselves; true brings them back, also after "
            "they were deleted."
        ),
    )

    def changes(self) -> UserChanges:
        """Return the wish in the words of the domain."""
        return UserChanges(email=self.email, name=self.name, role=self.role, active=self.active)


@strawberry.input(description="A person to be deleted.")
class DeleteUserInput:
    """Input of deleteUser."""

    user_id: strawberry.ID = strawberry.field(description="The person. Not yourself.")


@strawberry.input(description="A team to be made.")
class CreateTeamInput:
    """Input of createTeam."""

    name: str = strawberry.field(description="Its name, unique in the account; at most 200 characters.")
    member_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Users of the account who are in it, at most 500; null for nobody."
    )


@strawberry.input(description="What to change of a team.")
class UpdateTeamInput:
    """Input of updateTeam."""

    team_id: strawberry.ID = strawberry.field(description="The team.")
    name: str = strawberry.field(description="Its name, unique in the account; at most 200 characters.")


@strawberry.input(description="A user and a team of the account.")
class TeamMemberInput:
    """Input of the mutations about members."""

    team_id: strawberry.ID = strawberry.field(description="The team.")
    user_id: strawberry.ID = strawberry.field(description="The user.")
