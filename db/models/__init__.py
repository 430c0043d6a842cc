"""The tables. Every constraint has a name, because refusals are told apart by it.

Rows of an account have the primary key (account_id, id) and refer to each other through it: a row can
never belong to another account than the row that it points at, whatever the code above forgets.
"""

from db.models.assessments import assessments, briefings
from db.models.assessor_usage import assessor_usage
from db.models.base import metadata
from db.models.deliveries import connections, deliveries, delivery_attempts, nodes
from db.models.handoffs import audit_log, events, handoffs, idempotency_keys
from db.models.identity import api_keys, login_links
from db.models.people import account_counters, account_policies, accounts, team_members, teams, users
from db.models.psa import psa_connections
from db.models.sessions import imported_sessions, session_branches, session_messages, sessions

__all__ = [
    "account_counters",
    "account_policies",
    "accounts",
    "api_keys",
    "assessments",
    "assessor_usage",
    "audit_log",
    "briefings",
    "connections",
    "deliveries",
    "delivery_attempts",
    "events",
    "handoffs",
    "idempotency_keys",
    "imported_sessions",
    "login_links",
    "metadata",
    "nodes",
    "psa_connections",
    "session_branches",
    "session_messages",
    "sessions",
    "team_members",
    "teams",
    "users",
]
