"""The stores, written once for all databases: statements are executed by name, and each database has its own SQL."""
