-- Insert a row into the side table for each conversation that has none, in order of creation.
-- `join` and `condition` may limit it to some conversations.
INSERT INTO {{ schema }}.adopted_conversations (app_id, id, owner{{ ", updated_at" if has_updated_at }})
SELECT app.app_id, app.app_id::text, app.owner{{ ", app.updated_at" if has_updated_at }}
  FROM {{ schema }}.adopted_rows AS app {{ join | default("") }}
 WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_conversations AS side WHERE side.app_id = app.app_id)
   {{ condition | default("") }}
 ORDER BY {{ "app.made, " if created_at }}app.app_id;
