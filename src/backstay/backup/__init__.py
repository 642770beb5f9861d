"""Safe removal: backups that are verified, deletes that can be undone, restores that are exact."""
