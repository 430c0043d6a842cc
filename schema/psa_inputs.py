"""The inputs about ticketing systems. Each system has its own settings and its own kind of credentials."""

import strawberry

from db.enums import PsaProvider
from notify.psa.halopsa import OUTCOME_ID, OUTCOME_LABEL
from resolvers.errors import BadInput
from resolvers.psa_connections import NewConnection, NewCredentials

_AUTOTASK = "https://webservices.autotask.net/ATServicesRest"
_ONE_OF = "Give exactly one of connectWise, autotask and haloPsa."


@strawberry.input(description="What to put a note about into the session's ticket.")
class PushHandoffToPsaInput:
    """Input of pushHandoffToPsa."""

    handoff_id: strawberry.ID = strawberry.field(description="The handoff.")


@strawberry.input(description="The keys of an API member of ConnectWise.")
class ConnectWiseCredentialsInput:
    """Credentials of ConnectWise."""

    public_key: str = strawberry.field(description="The member's public key.")
    private_key: str = strawberry.field(description="Its private key.")

    def stored(self) -> NewCredentials:
        """Return the credentials in the words of the domain."""
        values = {"public_key": self.public_key, "private_key": self.private_key}
        return NewCredentials(provider=PsaProvider.CONNECTWISE, values=values)


@strawberry.input(description="An API user of Autotask.")
class AutotaskCredentialsInput:
    """Credentials of Autotask."""

    user_name: str = strawberry.field(description="The API user's key, which looks like an address.")
    secret: str = strawberry.field(description="Its secret.")
    integration_code: str = strawberry.field(description="The tracking identifier of the integration.")

    def stored(self) -> NewCredentials:
        """Return the credentials in the words of the domain."""
        values = {
            "user_name": self.user_name,
            "secret": self.secret,
            "integration_code": self.integration_code,
        }
        return NewCredentials(provider=PsaProvider.AUTOTASK, values=values)


@strawberry.input(description="An API application of HaloPSA that signs in by client id and secret.")
class HaloPsaCredentialsInput:
    """Credentials of HaloPSA."""

    client_id: str = strawberry.field(description="The application's client id.")
    client_secret: str = strawberry.field(description="Its secret.")

    def stored(self) -> NewCredentials:
        """Return the credentials in the words of the domain."""
        values = {"client_id": self.client_id, "client_secret": self.client_secret}
        return NewCredentials(provider=PsaProvider.HALOPSA, values=values)


@strawberry.input(description="How to reach a ConnectWise PSA.")
class ConnectWiseInput:
    """A ConnectWise PSA."""

    server: str = strawberry.field(
        description="Its address: https://na.myconnectwise.net, or your own server."
    )
    company_id: str = strawberry.field(description="The company that one signs in with.")
    client_id: str = strawberry.field(description="The clientId that ConnectWise gave your integration.")
    credentials: ConnectWiseCredentialsInput = strawberry.field(description="Encrypted at once; never shown.")


@strawberry.input(description="How to reach an Autotask PSA.")
class AutotaskInput:
    """An Autotask PSA."""

    credentials: AutotaskCredentialsInput = strawberry.field(description="Encrypted at once; never shown.")
    server: str = strawberry.field(
        default=_AUTOTASK, description="Where the user's zone is asked for. Autotask has one such address."
    )
    publish_label: str | None = strawberry.field(
        default=None,
        description="The label of “publish” that means internal users alone, as your Autotask spells it.",
    )
    note_type_label: str | None = strawberry.field(
        default=None, description="The label of the note type, as your Autotask spells it."
    )
    impersonation_resource_id: str | None = strawberry.field(
        default=None, description="The resource in whose name notes are made; null for the API user."
    )


@strawberry.input(description="How to reach a HaloPSA.")
class HaloPsaInput:
    """A HaloPSA."""

    server: str = strawberry.field(description="The resource server: https://example.halopsa.com.")
    credentials: HaloPsaCredentialsInput = strawberry.field(description="Encrypted at once; never shown.")
    auth_server: str | None = strawberry.field(
        default=None, description="The authorisation server; null for the resource server's /auth."
    )
    tenant: str | None = strawberry.field(default=None, description="The tenant, where yours has a name.")
    outcome_id: int = strawberry.field(
        default=int(OUTCOME_ID), description="The outcome that makes an action a private note."
    )
    outcome_label: str = strawberry.field(
        default=OUTCOME_LABEL, description="What that outcome is called. Notes are refused if it is not."
    )


@strawberry.input(description="A PSA to be connected. Give exactly one of connectWise, autotask and haloPsa.")
class CreatePsaConnectionInput:
    """Input of createPsaConnection."""

    name: str = strawberry.field(
        description=(
            "What to call it; at most 200 characters. A name that is taken in the account: BAD_USER_INPUT."
        )
    )
    automatic: bool = strawberry.field(default=False, description="Whether each escalation gets a note.")
    connect_wise: ConnectWiseInput | None = strawberry.field(default=None, description="A ConnectWise PSA.")
    autotask: AutotaskInput | None = strawberry.field(default=None, description="An Autotask PSA.")
    halo_psa: HaloPsaInput | None = strawberry.field(default=None, description="A HaloPSA.")

    def new(self) -> NewConnection:
        """Return the wish in the words of the domain.

        Raises:
            BadInput: not exactly one PSA is given.
        """
        given = [one for one in (self.connect_wise, self.autotask, self.halo_psa) if one is not None]
        if len(given) != 1:
            raise BadInput(_ONE_OF)
        return NewConnection(
            name=self.name,
            base_url=given[0].server,
            config=_config(given[0]),
            credentials=given[0].credentials.stored(),
            automatic=self.automatic,
        )


@strawberry.input(description="The connection.")
class PsaConnectionInput:
    """Input of the mutations that need nothing else."""

    connection_id: strawberry.ID = strawberry.field(description="The connection.")


@strawberry.input(description="Whether a connection makes a note of each escalation.")
class SetPsaAutomaticInput:
    """Input of setPsaAutomatic."""

    connection_id: strawberry.ID = strawberry.field(description="The connection.")
    automatic: bool = strawberry.field(description="Whether each escalation gets a note.")


@strawberry.input(description="Other credentials. Give exactly one of connectWise, autotask and haloPsa.")
class RotatePsaCredentialsInput:
    """Input of rotatePsaCredentials."""

    connection_id: strawberry.ID = strawberry.field(description="The connection.")
    connect_wise: ConnectWiseCredentialsInput | None = strawberry.field(
        default=None, description="Of a ConnectWise PSA."
    )
    autotask: AutotaskCredentialsInput | None = strawberry.field(
        default=None, description="Of an Autotask PSA."
    )
    halo_psa: HaloPsaCredentialsInput | None = strawberry.field(default=None, description="Of a HaloPSA.")

    def new(self) -> NewCredentials:
        """Return the credentials in the words of the domain.

        Raises:
            BadInput: not exactly one kind is given.
        """
        given = [one for one in (self.connect_wise, self.autotask, self.halo_psa) if one is not None]
        if len(given) != 1:
            raise BadInput(_ONE_OF)
        return given[0].stored()


def _config(given: ConnectWiseInput | AutotaskInput | HaloPsaInput) -> dict[str, str | None]:
    """Return what is no secret, by the names that the connectors read."""
    match given:
        case ConnectWiseInput():
            return {"company_id": given.company_id, "client_id": given.client_id}
        case AutotaskInput():
            return {
                "publish_label": given.publish_label,
                "note_type_label": given.note_type_label,
                "impersonation_resource_id": given.impersonation_resource_id,
            }
        case HaloPsaInput():
            return {
                "auth_server": given.auth_server or f"{given.server.rstrip('/')}/auth",
                "tenant": given.tenant,
                "outcome_id": str(given.outcome_id),
                "outcome_label": given.outcome_label,
            }
