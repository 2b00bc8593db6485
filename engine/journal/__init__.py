"""The journal: what arrived (inbox) and what must leave (outbox), in the chart's own database."""

from store.database.statements import load

SQL = load("engine.journal", "journal.sql")
