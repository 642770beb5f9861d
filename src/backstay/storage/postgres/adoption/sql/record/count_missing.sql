-- Count the conversations of the user table that the side table lacks.
SELECT count(*)
  FROM {{ table | map("quoted") | join(".") }} AS app
 WHERE NOT EXISTS (SELECT FROM {{ schema }}.adopted_conversations AS side WHERE side.app_id = app.{{ id | quoted }})
