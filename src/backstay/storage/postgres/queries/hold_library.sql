-- Nobody else brings in conversations of this owner, from a file or a backup.
SELECT pg_advisory_xact_lock(hashtextextended('{schema} library ' || :owner::text, 0))
