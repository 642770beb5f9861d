"""What writes conversations: built-in writers, and functions found by name."""
