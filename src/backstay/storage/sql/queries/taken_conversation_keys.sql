-- Which of these places in the order of storing are taken?
WITH wanted (key) AS ({rows:bigint})
SELECT conversations.key
  FROM wanted
  JOIN {schema}.conversations ON conversations.key = wanted.key
