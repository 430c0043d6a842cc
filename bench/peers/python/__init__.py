"""Peers in Python. Each is run as a process of its own, on PostgreSQL as PGHOST and its kin name it."""
