"""Live events, derived from the tables, so that they cover the work of all processes."""
