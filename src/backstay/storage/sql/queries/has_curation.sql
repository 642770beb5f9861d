-- Return whether any conversation has a review or kept versions.
SELECT EXISTS (SELECT 1 FROM {schema}.conversation_reviews)
    OR EXISTS (SELECT 1 FROM {schema}.conversation_versions)
