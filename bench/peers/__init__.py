"""Handoff beside its peers: programs as their communities write them, on the same tables, rows and cores.

The peers know no identity, no limits, no row-level security, no logs and no pushes. That favours them, and
is meant to: what Handoff does beyond them is on while it is measured.
"""
