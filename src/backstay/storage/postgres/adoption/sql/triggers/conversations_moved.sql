-- Update the side row of a conversation to which the app gives another id or owner.
{% extends "triggers/base.sql" %}
{% from "macros.sql" import changed %}
{% set name, table, view, event = "moved", conversations, "conversations", "UPDATE" %}
{% set scope %}FOR EACH ROW WHEN ({{ changed([id.name, owner.name] if owner else [id.name]) }}){% endset %}
{% block declarations %}
DECLARE
    old_id  {{ id.cast }};
    new_id  {{ id.cast }};
{% endblock %}
{% block body %}
    -- By position, not by name: the text of a function does not follow a renamed column.
    old_id := (SELECT row_before.id FROM (SELECT OLD.*) AS row_before ({{ id_position }}));
    new_id := (SELECT row_now.id FROM (SELECT NEW.*) AS row_now ({{ id_position }}));
    IF old_id IS DISTINCT FROM new_id
        AND EXISTS (SELECT 1 FROM {{ schema }}.adopted_conversations AS side WHERE side.app_id = old_id) THEN
        DELETE FROM {{ schema }}.adopted_conversations AS side WHERE side.app_id = new_id;
    END IF;
    UPDATE {{ schema }}.adopted_conversations AS side
       SET app_id = new_id, id = new_id::text{{ ", owner = app.owner" if owner }}
      FROM {{ schema }}.adopted_rows AS app
     WHERE app.app_id = new_id AND side.app_id = old_id;
    IF NOT FOUND OR old_id IS DISTINCT FROM new_id THEN
        DELETE FROM {{ schema }}.adopted_conversations AS side
         WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_rows AS app WHERE app.app_id = side.app_id)
           AND side.app_id = old_id;
        {% set condition %}AND app.app_id IN (old_id, new_id){% endset %}
        {% filter indent(8, first=True) %}{% include "side_tables/insert_missing.sql" %}{% endfilter %}
    END IF;
{% endblock %}
