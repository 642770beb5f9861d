-- Return selected conversations with keys in a range, the newest first, each with its number of turns. The inner query has
-- no order, so that it may read the range in ascending order.
SELECT id, topic, persona, job_id, item_id,
       (SELECT count(*) FROM {schema}.turns WHERE turns.conversation_key = listed.key),
       created_at, key
  FROM {schema}.conversations AS listed
 WHERE owner = :owner
   AND key IN (SELECT key
                 FROM {schema}.conversations
                WHERE owner = :owner
                  AND key > :after
                  AND key < :before
                  {selected_in_range})
 ORDER BY key DESC
 LIMIT :limit
