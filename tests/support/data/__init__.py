"""Conversations, verdicts, and answers of providers, each with what is expected of it."""
