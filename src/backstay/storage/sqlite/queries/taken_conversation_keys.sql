-- Which of these places in the order of storing are taken?
WITH wanted (key) AS (VALUES {rows:1})
SELECT conversations.key
  FROM wanted
  JOIN conversations ON conversations.key = wanted.key
