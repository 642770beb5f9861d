-- Return the reviews of these conversations, with their tags as a JSON array.
WITH requested (key) AS ({rows:bigint})
SELECT reviews.conversation_key, reviews.status, reviews.rating,
       (SELECT json_group_array(tag)
          FROM (SELECT tag
                  FROM {schema}.conversation_tags AS tags
                 WHERE tags.conversation_key = reviews.conversation_key
                 ORDER BY tag)),
       reviews.note, reviews.reviewer, reviews.reviewed_at
  FROM requested
 CROSS JOIN {schema}.conversation_reviews AS reviews
 WHERE reviews.owner = :1
   AND reviews.conversation_key = requested.key
