-- Set the digest of a pending or failed item that still has the former content, and keep the digest of its input.
-- A failed one has neither tries nor interruptions then, so that its failure is known to be from before the edit.
UPDATE {schema}.items
   SET original_digest = CASE WHEN :digest = coalesce(original_digest, digest) THEN NULL
                              ELSE coalesce(original_digest, digest) END,
       digest = :digest,
       tries = CASE WHEN state = 'failed' THEN 0 ELSE tries END,
       interruptions = CASE WHEN state = 'failed' THEN 0 ELSE interruptions END
 WHERE job_key = :job_key
   AND owner = :owner
   AND position = :position
   AND state IN ('pending', 'failed')
   AND digest = :former_digest
