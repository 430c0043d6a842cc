"""Real servers that the tests start by themselves: PostgreSQL, Valkey, SMTP and Handoff.

Each starts unprivileged on a socket or a free port of 127.0.0.1, can be killed and started again as a machine
would do it, and leaves nothing behind: no process, no folder.
"""
