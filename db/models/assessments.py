"""What is known about an escalation before anybody looks into it."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text, Uuid, text

from db.enums import AssessmentStatus, ConfidenceTier, Verdict
from db.models.base import metadata, of_account, one_of
from db.types import Document, Named, UtcDateTime

#: One row per assessment that was asked for: also the queue of those who make them.
assessments = Table(
    "assessments",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("handoff_id", Uuid, primary_key=True),
    Column("status", Named(AssessmentStatus), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("mails_wait_until", UtcDateTime, nullable=False),  # the escalation's mails wait no longer for it
    Column("due_at", UtcDateTime, nullable=False),  # later than it was requested when tried again
    Column("deadline_at", UtcDateTime, nullable=False),  # after that it has failed
    Column("lease_until", UtcDateTime),  # a worker holds the row until then; a dead one's is taken over
    Column("leased_by", Uuid),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("likely_cause", Text),
    Column("confidence", Named(ConfidenceTier)),
    Column("findings", Document),  # suggested_steps, already_tried and evidence, as they are shown
    Column("generated_by", Text),
    Column("finished_at", UtcDateTime),
    Column("error", Text),
    Column("verdict", Named(Verdict)),  # of the one who had the session in hand
    Column("verdict_by_id", Uuid),
    Column("verdict_at", UtcDateTime),
    of_account("handoff_id", "handoffs", "fk_assessments_handoff"),
    of_account("verdict_by_id", "users", "fk_assessments_verdict_by"),
    CheckConstraint("status IN ('PENDING', 'READY', 'FAILED')", name="status_known"),
    one_of("confidence", ConfidenceTier),
    one_of("verdict", Verdict),
    CheckConstraint("(lease_until IS NULL) = (leased_by IS NULL)", name="lease_is_whole"),
    CheckConstraint("(status = 'PENDING') = (finished_at IS NULL)", name="finished_has_time"),
    CheckConstraint(
        "(status = 'READY') = (findings IS NOT NULL AND confidence IS NOT NULL AND generated_by IS NOT NULL)",
        name="ready_is_whole",
    ),
    CheckConstraint("(status = 'FAILED') = (error IS NOT NULL)", name="failed_says_why"),
    CheckConstraint(
        "(verdict IS NULL) = (verdict_by_id IS NULL) AND (verdict IS NULL) = (verdict_at IS NULL)",
        name="verdict_is_whole",
    ),
    CheckConstraint("verdict IS NULL OR status = 'READY'", name="verdict_of_ready"),
    Index(
        "ix_assessments_due",
        "due_at",
        postgresql_where=text("status = 'PENDING'"),
        sqlite_where=text("status = 'PENDING'"),
    ),
)

#: What the one who claims reads, kept until what it was written from has changed.
briefings = Table(
    "briefings",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("handoff_id", Uuid, primary_key=True),
    Column("version", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("generated_by", Text, nullable=False),
    Column("generated_at", UtcDateTime, nullable=False),
    of_account("handoff_id", "handoffs", "fk_briefings_handoff"),
    Index("ix_briefings_generated_at", "generated_at"),
)
