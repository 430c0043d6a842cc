"""Tests, named by behaviour. Each runs on SQLite and on PostgreSQL unless it is about one of them."""
