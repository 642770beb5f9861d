"""The databases. Each implements the store protocols of `batch`, `library`, `backup` and `coordination`."""
