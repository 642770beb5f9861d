-- Set the digest of a pending or failed item that still has the former content, and keep the digest of its input.
UPDATE {schema}.items
   SET original_digest = CASE WHEN :digest = coalesce(original_digest, digest) THEN NULL
                              ELSE coalesce(original_digest, digest) END,
       digest = :digest
 WHERE job_key = :job_key
   AND owner = :owner
   AND position = :position
   AND state IN ('pending', 'failed')
   AND digest = :former_digest
