-- Insert a row into the side table for each conversation that has none, in order of creation.
-- `join` and `condition` may limit it to some conversations.
INSERT INTO {{ schema }}.adopted_conversations (their_id, id, owner{{ ", updated_at" if has_updated_at }})
SELECT app.their_id, app.their_id::text, app.owner{{ ", app.updated_at" if has_updated_at }}
  FROM {{ schema }}.adopted_rows AS app {{ join | default("") }}
 WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_conversations AS side WHERE side.their_id = app.their_id)
   {{ condition | default("") }}
 ORDER BY {{ "app.made, " if created_at }}app.their_id;
