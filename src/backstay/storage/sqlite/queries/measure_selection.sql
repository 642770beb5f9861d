-- Return the selected conversations in order of their keys, each with its number of turns and about how many bytes
-- its line in a backup has: 130 and 55 are the characters around the values. The length of a text is known without
-- reading it, so escapes are not counted.
SELECT stored.key, stored.id, stored.topic, count(turns.sequence),
       130 + octet_length(stored.id) + octet_length(stored.created_at) + octet_length(stored.updated_at)
       + ifnull(2 + octet_length(stored.content), 4) + ifnull(2 + octet_length(stored.item_id), 4)
       + ifnull(2 + octet_length(stored.job_id), 4) + ifnull(octet_length(stored.metadata), 2)
       + ifnull(2 + octet_length(stored.persona), 4) + ifnull(2 + octet_length(stored.topic), 4)
       + ifnull(sum(55 + octet_length(turns.content) + ifnull(2 + octet_length(turns.id), 4)
                    + ifnull(octet_length(turns.metadata), 2) + octet_length(turns.role)
                    + octet_length(turns.sequence)), 0)
  FROM (SELECT key, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at
          FROM {schema}.conversations
         WHERE owner = :owner
           {selected}) AS stored
  LEFT JOIN {schema}.turns ON turns.conversation_key = stored.key
 GROUP BY stored.key
 ORDER BY stored.key
