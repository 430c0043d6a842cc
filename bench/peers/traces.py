"""What a mutation left in the database, without what differs by nature: ids and instants."""

from collections.abc import Sequence

from bench.peers.filling import connect
from bench.peers.rows import Escalation

_TRACE = """
SELECT jsonb_build_object(
    'handoff', to_jsonb(h) - ARRAY['id', 'account_id', 'session_id', 'handed_off_by_id', 'claimed_by_id',
                                   'created_at', 'opened_at', 'claimed_at', 'reach_check_at'],
    'handed_off_by', h.handed_off_by_id, 'claimed_by', h.claimed_by_id,
    'is_checked_after', h.reach_check_at - h.created_at,
    'session', to_jsonb(s) - ARRAY['id', 'problem_summary', 'psa_ticket_id', 'created_at', 'step_count',
                                   'escalation_package'],
    'package', s.escalation_package - 'handoff_id' - 'snapshot',
    'names_itself', s.escalation_package ->> 'handoff_id' = h.id::text,
    'repeats_snapshot', s.escalation_package -> 'snapshot' = h.snapshot,
    'deliveries', (
        SELECT jsonb_agg(
                   jsonb_build_array(d.recipient_id, d.channel, d.kind, d.round, d.status, d.reason,
                                     d.attempts, d.due_at - d.created_at, d.first_due_at = d.due_at)
                   ORDER BY d.recipient_id, d.channel)
          FROM deliveries d WHERE d.account_id = h.account_id AND d.handoff_id = h.id),
    'events', (
        SELECT jsonb_agg(to_jsonb(e) - ARRAY['sequence', 'at', 'handoff_id', 'session_id']
                         ORDER BY e.sequence)
          FROM events e
         WHERE e.account_id = h.account_id AND e.handoff_id = h.id AND e.session_id = h.session_id),
    'is_counted', (SELECT max(sequence) FROM events e WHERE e.account_id = h.account_id)
                  = (SELECT event_sequence FROM account_counters c WHERE c.account_id = h.account_id)
)::text
  FROM handoffs h JOIN sessions s ON s.account_id = h.account_id AND s.id = h.session_id
 WHERE h.account_id = $1 AND h.session_id = $2
"""


async def read(url: str, escalations: Sequence[Escalation]) -> list[str]:
    """Return what each left."""
    connection = await connect(url)
    rows = [
        await connection.fetchval(_TRACE, each.account.id, each.session_id) or "nothing"
        for each in escalations
    ]
    await connection.close()
    return rows
