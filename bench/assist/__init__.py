"""How good assessments are, measured on sessions with known answers."""
