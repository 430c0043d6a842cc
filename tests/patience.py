"""How long a test waits for what should come at once."""

#: Seconds until a test gives up. Nothing waits so long when all is well: a shared machine may pause for ten.
PATIENCE = 60.0
