-- Return the turns of the first of these conversations, in order, up to the one that brings them to :2 bytes.
WITH requested (key) AS ({rows:bigint})
SELECT conversation_key, id, role, content, metadata
  FROM (SELECT stored.*,
               sum(octet_length(content) + coalesce(octet_length(metadata), 0))
                   OVER (ORDER BY conversation_key GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
          FROM requested
         CROSS JOIN LATERAL (SELECT *
                               FROM {schema}.turns
                              WHERE conversation_key = requested.key
                                AND owner = :1
                             OFFSET 0) AS stored) AS sized
 WHERE coalesce(bytes_before, 0) <= :2
 ORDER BY conversation_key, sequence
