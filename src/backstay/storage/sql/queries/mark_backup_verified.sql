-- running → verified
UPDATE {schema}.backups
   SET state = 'verified', conversations = :conversations, turns = :turns, content_bytes = :content_bytes,
       file_bytes = :file_bytes, file_sha256 = :file_sha256, verified_at = :now, deletion = :deletion, pinned = :pinned,
       expires_at = CASE WHEN CAST(:deletion AS text) IS NULL THEN coalesce(CAST(:expires_at AS bigint), :now + keep_micros) END
 WHERE key = :key
   AND owner = :owner
   AND state = 'running'
