"""Coordination of several servers on one database: idempotent requests, tickets, scheduled tasks. It knows no HTTP."""
