"""What several servers on one database must agree on: requests under a key, tickets, daily duties. No HTTP."""
