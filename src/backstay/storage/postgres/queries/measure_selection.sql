-- Selected conversations in the order of storing, each with the number of its turns and about the bytes of its line in a
-- backup: 130 and 55 are what stands around the values. The length of a text is known without reading it, so what JSON
-- would have to escape is not.
SELECT key, id, topic, said.turns,
       130 + octet_length(id) + octet_length(created_at) + octet_length(updated_at)
       + coalesce(2 + octet_length(content), 4) + coalesce(2 + octet_length(item_id), 4)
       + coalesce(2 + octet_length(job_id), 4) + coalesce(octet_length(metadata), 2)
       + coalesce(2 + octet_length(persona), 4) + coalesce(2 + octet_length(topic), 4)
       + said.bytes
  FROM {schema}.conversations
 CROSS JOIN LATERAL (SELECT count(*) AS turns,
                            coalesce(sum(55 + octet_length(turns.content) + coalesce(2 + octet_length(turns.id), 4)
                                         + coalesce(octet_length(turns.metadata), 2) + octet_length(turns.role)
                                         + octet_length(turns.sequence::text)), 0) AS bytes
                       FROM {schema}.turns
                      WHERE turns.conversation_key = conversations.key) AS said
 WHERE owner = :owner
   {selected}
 ORDER BY key
