-- Return how many rows this connection has changed.
SELECT total_changes()
