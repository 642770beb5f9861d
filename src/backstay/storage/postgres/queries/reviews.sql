-- Return the reviews of these conversations, with their tags as a JSON array.
WITH requested (key) AS ({rows:bigint})
SELECT reviews.conversation_key, reviews.status, reviews.rating,
       to_json(ARRAY(SELECT tags.tag
                       FROM {schema}.conversation_tags AS tags
                      WHERE tags.conversation_key = reviews.conversation_key
                        AND tags.owner = reviews.owner
                      ORDER BY tags.tag))::text,
       reviews.note, reviews.reviewer, reviews.reviewed_at
  FROM requested
  JOIN {schema}.conversation_reviews AS reviews ON reviews.conversation_key = requested.key
 WHERE reviews.owner = :1
