-- Bring the side tables back in step with the user tables, whatever has happened to them or to the triggers.
{% from "macros.sql" import equal %}
DELETE FROM {{ schema }}.adopted_conversations AS side
 WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_rows AS app WHERE app.app_id = side.app_id);
{% if owner %}
UPDATE {{ schema }}.adopted_conversations AS side
   SET owner = app.owner
  FROM {{ schema }}.adopted_rows AS app
 WHERE app.app_id = side.app_id
   AND app.owner IS DISTINCT FROM side.owner;
{% endif %}
{% include "side_tables/insert_missing.sql" %}
{% if side_turn_columns %}
DELETE FROM {{ schema }}.adopted_turns AS side
 WHERE NOT EXISTS (SELECT 1 FROM {{ turns.quoted_name }} AS app WHERE {{ equal(turn_identity, "app", "side") }});
{% endif %}
