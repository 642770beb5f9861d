-- Write the reviews of conversations, replacing any earlier ones.
INSERT INTO {schema}.conversation_reviews (conversation_key, owner, status, rating, note, reviewer, reviewed_at)
{rows:bigint,text,text,integer,text,text,text}
    ON CONFLICT (conversation_key) DO UPDATE
   SET status = excluded.status, rating = excluded.rating, note = excluded.note, reviewer = excluded.reviewer,
       reviewed_at = excluded.reviewed_at
 WHERE conversation_reviews.owner = excluded.owner
