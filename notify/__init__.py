"""Who is told, and how: wake-ups between nodes, the event feed, the outbox, mail."""
