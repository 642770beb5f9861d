-- Return which of these keys are in use.
WITH requested (key) AS ({rows:bigint})
SELECT conversations.key
  FROM requested
  JOIN {schema}.conversations ON conversations.key = requested.key
