"""What is remembered: tables, every SQL statement, migrations. Nothing outside this folder speaks SQL."""
