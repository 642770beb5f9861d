"""Import from the original library: its tables `batch_checkpoints` and `backup_exports`, and its backup files."""
