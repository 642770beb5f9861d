"""The library: conversations and their turns."""
