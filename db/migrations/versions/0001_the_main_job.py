"""The tables of the main job."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "account_counters",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "event_sequence >= 0", name=op.f("ck_account_counters_event_sequence_not_negative")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_counters_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_counters")),
        postgresql_with={"fillfactor": 10},
    )
    op.create_table(
        "account_policies",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("reminder_after", DOCUMENT, nullable=False),
        sa.Column("remind", sa.Text(), nullable=False),
        sa.Column("claim_expires_after", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "remind IN ('EVERYONE', 'OWNERS_AND_ADMINS')", name=op.f("ck_account_policies_remind_known")
        ),
        sa.CheckConstraint(
            "claim_expires_after > 0", name=op.f("ck_account_policies_claim_expires_after_positive")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_policies_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_policies")),
    )
    op.create_table(
        "events",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("handoff_id", sa.Uuid(), nullable=True),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("round", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("except_id", sa.Uuid(), nullable=True),
        sa.Column("audience", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "audience IN ('EVERYONE', 'OWNERS_AND_ADMINS')", name=op.f("ck_events_audience_known")
        ),
        sa.CheckConstraint("intent IN ('PARK', 'ESCALATE')", name=op.f("ck_events_intent_known")),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_events_sequence_from_one")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_events_account_id")),
        sa.PrimaryKeyConstraint("account_id", "sequence", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_of_handoff",
        "events",
        ["account_id", "handoff_id", "sequence"],
        unique=False,
        postgresql_where=sa.text("handoff_id IS NOT NULL"),
        sqlite_where=sa.text("handoff_id IS NOT NULL"),
    )
    op.create_table(
        "teams",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_teams_account_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_teams")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_teams_account_id_name")),
    )
    op.create_table(
        "users",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mute_push", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("mute_email", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("quiet_reminders", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint(
            "role IN ('OWNER', 'ADMIN', 'ENGINEER', 'VIEWER')", name=op.f("ck_users_role_known")
        ),
        sa.CheckConstraint("NOT (mute_push AND mute_email)", name=op.f("ck_users_one_channel_open")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_users_email_lower_case")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_users_account_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("id", name=op.f("uq_users_id")),
    )
    op.create_table(
        "connections",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"], ["users.account_id", "users.id"], name="fk_connections_user"
        ),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_connections_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_connections")),
    )
    op.create_index("ix_connections_node_id", "connections", ["node_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("problem_summary", sa.Text(), nullable=True),
        sa.Column("problem_domain", sa.Text(), nullable=True),
        sa.Column("step_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("confidence_tier", sa.Text(), nullable=True),
        sa.Column("active_branch_id", sa.Uuid(), nullable=True),
        sa.Column("message_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("branch_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("handoff_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("escalated_to_id", sa.Uuid(), nullable=True),
        sa.Column("escalation_package", DOCUMENT, nullable=True),
        sa.Column("psa_ticket_id", sa.Text(), nullable=True),
        sa.Column("actual_cause", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'RESOLVED') = (resolved_at IS NOT NULL)", name=op.f("ck_sessions_resolved_has_time")
        ),
        sa.CheckConstraint(
            "confidence_tier IN ('LOW', 'MEDIUM', 'HIGH')", name=op.f("ck_sessions_confidence_tier_known")
        ),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'PAUSED', 'ESCALATED', 'RESOLVED')", name=op.f("ck_sessions_status_known")
        ),
        sa.CheckConstraint("step_count >= 0", name=op.f("ck_sessions_step_count_not_negative")),
        sa.ForeignKeyConstraint(
            ["account_id", "escalated_to_id"],
            ["users.account_id", "users.id"],
            name="fk_sessions_escalated_to",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "owner_id"], ["users.account_id", "users.id"], name="fk_sessions_owner"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "team_id"], ["teams.account_id", "teams.id"], name="fk_sessions_team"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_sessions_account_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_newest", "sessions", ["account_id", "created_at", "id"], unique=False)
    op.create_table(
        "team_members",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "team_id"], ["teams.account_id", "teams.id"], name="fk_team_members_team"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"], ["users.account_id", "users.id"], name="fk_team_members_user"
        ),
        sa.PrimaryKeyConstraint("account_id", "team_id", "user_id", name=op.f("pk_team_members")),
    )
    op.create_table(
        "session_branches",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("parent_branch_id", sa.Uuid(), nullable=True),
        sa.Column("order", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "parent_branch_id"],
            ["session_branches.account_id", "session_branches.id"],
            name="fk_session_branches_parent",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "session_id"],
            ["sessions.account_id", "sessions.id"],
            name="fk_session_branches_session",
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_session_branches")),
        sa.UniqueConstraint("account_id", "session_id", "order", name="uq_session_branches_order"),
    )
    op.create_table(
        "session_messages",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('USER', 'ASSISTANT', 'SYSTEM')", name=op.f("ck_session_messages_role_known")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "session_id"],
            ["sessions.account_id", "sessions.id"],
            name="fk_session_messages_session",
        ),
        sa.PrimaryKeyConstraint("account_id", "session_id", "index", name=op.f("pk_session_messages")),
    )
    op.create_table(
        "handoffs",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("snapshot", DOCUMENT, nullable=False),
        sa.Column("source_branch_id", sa.Uuid(), nullable=True),
        sa.Column("round", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reach_online", sa.Integer(), nullable=False),
        sa.Column("reach_email", sa.Integer(), nullable=False),
        sa.Column("handed_off_by_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by_id", sa.Uuid(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reminders", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_reminder_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'CLOSED') = (closed_at IS NOT NULL)", name=op.f("ck_handoffs_closed_has_time")
        ),
        sa.CheckConstraint("intent IN ('PARK', 'ESCALATE')", name=op.f("ck_handoffs_intent_known")),
        sa.CheckConstraint(
            "state <> 'CLAIMED' OR claimed_by_id IS NOT NULL", name=op.f("ck_handoffs_claimed_has_claimer")
        ),
        sa.CheckConstraint(
            "state <> 'OPEN' OR claimed_by_id IS NULL", name=op.f("ck_handoffs_open_is_unclaimed")
        ),
        sa.CheckConstraint("state IN ('OPEN', 'CLAIMED', 'CLOSED')", name=op.f("ck_handoffs_state_known")),
        sa.CheckConstraint(
            "(claimed_by_id IS NULL) = (claimed_at IS NULL)", name=op.f("ck_handoffs_claim_is_whole")
        ),
        sa.CheckConstraint("priority IN (0, 1, 2, 3)", name=op.f("ck_handoffs_priority_known")),
        sa.ForeignKeyConstraint(
            ["account_id", "claimed_by_id"], ["users.account_id", "users.id"], name="fk_handoffs_claimed_by"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "handed_off_by_id"],
            ["users.account_id", "users.id"],
            name="fk_handoffs_handed_off_by",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "session_id"], ["sessions.account_id", "sessions.id"], name="fk_handoffs_session"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "source_branch_id"],
            ["session_branches.account_id", "session_branches.id"],
            name="fk_handoffs_source_branch",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "team_id"], ["teams.account_id", "teams.id"], name="fk_handoffs_team"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_handoffs_account_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_handoffs")),
    )
    op.create_index(
        "ix_handoffs_of_session", "handoffs", ["account_id", "session_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_handoffs_queue",
        "handoffs",
        ["account_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'OPEN'"),
        sqlite_where=sa.text("state = 'OPEN'"),
    )
    op.create_index(
        "ix_handoffs_queue_by_priority",
        "handoffs",
        ["account_id", "priority", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'OPEN'"),
        sqlite_where=sa.text("state = 'OPEN'"),
    )
    op.create_index(
        "ix_handoffs_to_expire",
        "handoffs",
        ["claim_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'CLAIMED' AND claim_expires_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'CLAIMED' AND claim_expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_handoffs_to_remind",
        "handoffs",
        ["next_reminder_at"],
        unique=False,
        postgresql_where=sa.text("state = 'OPEN' AND next_reminder_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'OPEN' AND next_reminder_at IS NOT NULL"),
    )
    op.create_index(
        "uq_handoffs_one_unfinished",
        "handoffs",
        ["account_id", "session_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'CLOSED'"),
        sqlite_where=sa.text("state <> 'CLOSED'"),
    )
    op.create_table(
        "deliveries",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("handoff_id", sa.Uuid(), nullable=False),
        sa.Column("recipient_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_by", sa.Uuid(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("link_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'SKIPPED') = (reason IS NOT NULL)", name=op.f("ck_deliveries_skipped_has_reason")
        ),
        sa.CheckConstraint("channel IN ('PUSH', 'EMAIL')", name=op.f("ck_deliveries_channel_known")),
        sa.CheckConstraint(
            "kind IN ('ESCALATION', 'REMINDER', 'CLAIMED', 'UNREACHED')",
            name=op.f("ck_deliveries_kind_known"),
        ),
        sa.CheckConstraint(
            "reason IN ('PUSH_DELIVERED', 'CLAIMED', 'RELEASED', 'CLOSED', "
            "'RECIPIENT_INACTIVE', 'ROLE_CHANGED', 'OPTED_OUT', 'SUPERSEDED')",
            name=op.f("ck_deliveries_reason_known"),
        ),
        sa.CheckConstraint(
            "status <> 'DELIVERED' OR delivered_at IS NOT NULL", name=op.f("ck_deliveries_delivered_has_time")
        ),
        sa.CheckConstraint(
            "status <> 'SENDING' OR lease_until IS NOT NULL", name=op.f("ck_deliveries_sending_is_leased")
        ),
        sa.CheckConstraint(
            "status <> 'SENT' OR sent_at IS NOT NULL", name=op.f("ck_deliveries_sent_has_time")
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SENDING') OR lease_until IS NULL",
            name=op.f("ck_deliveries_finished_is_not_leased"),
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SENDING', 'SENT', 'DELIVERED', 'FAILED', 'SKIPPED')",
            name=op.f("ck_deliveries_status_known"),
        ),
        sa.CheckConstraint(
            "(lease_until IS NULL) = (leased_by IS NULL)", name=op.f("ck_deliveries_lease_is_whole")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "handoff_id"], ["handoffs.account_id", "handoffs.id"], name="fk_deliveries_handoff"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "recipient_id"], ["users.account_id", "users.id"], name="fk_deliveries_recipient"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_deliveries_account_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "account_id", "handoff_id", "recipient_id", "channel", "kind", "round", name="uq_deliveries_once"
        ),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["channel", "due_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('PENDING', 'SENDING')"),
        sqlite_where=sa.text("status IN ('PENDING', 'SENDING')"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("handoff_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "handoff_id"],
            ["handoffs.account_id", "handoffs.id"],
            name="fk_idempotency_keys_handoff",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"], ["users.account_id", "users.id"], name="fk_idempotency_keys_user"
        ),
        sa.PrimaryKeyConstraint("account_id", "user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("reply_code", sa.Integer(), nullable=True),
        sa.Column("reply_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "delivery_id"],
            ["deliveries.account_id", "deliveries.id"],
            name="fk_delivery_attempts_delivery",
        ),
        sa.PrimaryKeyConstraint("account_id", "delivery_id", "number", name=op.f("pk_delivery_attempts")),
    )


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("delivery_attempts")
    op.drop_table("idempotency_keys")
    op.drop_table("deliveries")
    op.drop_table("handoffs")
    op.drop_table("session_messages")
    op.drop_table("session_branches")
    op.drop_table("team_members")
    op.drop_table("sessions")
    op.drop_table("connections")
    op.drop_table("users")
    op.drop_table("teams")
    op.drop_table("events")
    op.drop_table("account_policies")
    op.drop_table("account_counters")
    op.drop_table("nodes")
    op.drop_table("accounts")
