-- Lock imports and restores of this owner.
SELECT pg_advisory_xact_lock(hashtextextended('{schema} library ' || :owner::text, 0))
