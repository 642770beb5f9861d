"""Live events, derived from the tables: whoever works on a job, in whichever process, it shows here."""
