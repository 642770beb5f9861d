-- Lock the index of this owner, so that one transaction at a time fills it.
SELECT pg_advisory_xact_lock(hashtextextended('{schema} index ' || :owner::text, 0))
