"""Conversations coming in from files: native, OpenAI messages, ShareGPT, and backups."""
