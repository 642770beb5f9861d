-- nothing → creating
INSERT INTO {schema}.jobs (owner, state, processor, settings, created_at, updated_at)
VALUES (:owner, 'creating', '', '{}', :now, :now)
RETURNING key
