"""The command line: `handoff COMMAND`. Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""

import click

from server.cli import (
    accounts,
    api_keys,
    audit,
    database,
    exports,
    psa,
    schema,
    serving,
    teams,
    tokens,
    users,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="handoff")
def main() -> None:
    """Handoff: a stuck engineer's session reaches someone who can finish it.

    Settings are HANDOFF_* variables, or stand in a .env file in the working directory;
    docs/operations.md lists them. On a new machine, start with: handoff run
    """


for command in (
    serving.run,
    serving.serve,
    serving.worker,
    database.migrate,
    tokens.token,
    schema.print_schema,
    accounts.account,
    teams.team,
    users.user,
    api_keys.key,
    exports.export_account,
    exports.import_sessions,
    psa.psa,
    audit.audit,
):
    main.add_command(command)
