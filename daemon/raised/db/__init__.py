"""The record on SQLite and PostgreSQL: tables, engine, statements by noun."""
