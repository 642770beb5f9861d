-- Count the conversations that have a review or earlier versions.
SELECT count(*)
  FROM (SELECT conversation_key FROM {{ schema }}.conversation_reviews
         UNION
        SELECT conversation_key FROM {{ schema }}.conversation_versions) AS curated
