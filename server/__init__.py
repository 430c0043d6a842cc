"""The process: environment, identity, ASGI, command line."""
