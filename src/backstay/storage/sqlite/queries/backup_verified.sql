-- running → verified
UPDATE backups
   SET state = 'verified', conversations = :conversations, turns = :turns, content_bytes = :content_bytes,
       file_bytes = :file_bytes, file_sha256 = :file_sha256, verified_at = :now, deletion = :deletion, pinned = :pinned,
       expires_at = iif(:deletion IS NULL, coalesce(:expires_at, :now + keep_micros), NULL)
 WHERE key = :key
   AND owner = :owner
   AND state = 'running'
