"""Whose a request is."""
