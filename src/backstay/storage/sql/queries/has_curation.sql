-- Return whether any conversation has a review or earlier versions.
SELECT EXISTS (SELECT 1 FROM {schema}.conversation_reviews)
    OR EXISTS (SELECT 1 FROM {schema}.conversation_versions)
