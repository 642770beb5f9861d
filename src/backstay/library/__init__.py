"""What we keep: conversations and their turns."""
