"""What is stored, written once for every database: statements go by name, each database has its SQL for them."""
