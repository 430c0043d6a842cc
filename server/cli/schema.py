"""`handoff schema`."""

import click


@click.command("schema")
def print_schema() -> None:
    """Print the GraphQL schema definition.

    Example: handoff schema > schema.graphql
    """
    from schema.build import print_schema as text

    click.echo(text(), nl=False)
