"""Import of conversations from files: rows of many shapes, and backups."""
