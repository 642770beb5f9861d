-- Return the selected conversations in order of their keys, each with its number of turns and about how many bytes
-- its line in a backup has: 130 and 55 are the characters around the values. The length of a text is known without
-- reading it, so escapes are not counted.
SELECT key, id, topic, counted.turns,
       130 + octet_length(id) + octet_length(created_at) + octet_length(updated_at)
       + coalesce(2 + octet_length(content), 4) + coalesce(2 + octet_length(item_id), 4)
       + coalesce(2 + octet_length(job_id), 4) + coalesce(octet_length(metadata), 2)
       + coalesce(2 + octet_length(persona), 4) + coalesce(2 + octet_length(topic), 4)
       + counted.bytes
  FROM {schema}.conversations
 CROSS JOIN LATERAL (SELECT count(*) AS turns,
                            coalesce(sum(55 + octet_length(turns.content) + coalesce(2 + octet_length(turns.id), 4)
                                         + coalesce(octet_length(turns.metadata), 2) + octet_length(turns.role)
                                         + octet_length(turns.sequence::text)), 0) AS bytes
                       FROM {schema}.turns
                      WHERE turns.conversation_key = conversations.key) AS counted
 WHERE owner = :owner
   {selected}
 ORDER BY key
