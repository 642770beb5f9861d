"""Import from the original: its tables `batch_checkpoints` and `backup_exports`, and its backup files."""
