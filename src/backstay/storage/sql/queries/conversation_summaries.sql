-- Return conversations of a list, without their turns but for the beginning of the first text of one without a topic. A
-- text of more than 256 KiB is not read.
SELECT key, id, topic, persona, job_id, item_id, created_at,
       CASE WHEN coalesce(topic, '') = ''
            THEN (SELECT CASE WHEN octet_length(content) <= 262144 THEN substr(content, 1, 400) END
                    FROM {schema}.turns
                   WHERE turns.conversation_key = conversations.key
                     AND turns.owner = conversations.owner
                     AND role <> 'system'
                     AND content <> ''
                   ORDER BY sequence
                   LIMIT 1)
       END
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key IN ({list:keys})
