-- Return the reviews of these conversations.
WITH requested (key) AS ({rows:bigint})
SELECT reviews.conversation_key, reviews.status, reviews.rating, reviews.note, reviews.reviewer, reviews.reviewed_at
  FROM requested
  JOIN {schema}.conversation_reviews AS reviews ON reviews.conversation_key = requested.key
