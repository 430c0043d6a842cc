"""Notes in the tickets of PSAs (ticketing systems): internal ones, each put there once."""
