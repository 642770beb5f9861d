-- Remove the side row of each conversation that the app deletes, unless its id is in use again.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "gone", conversations, "conversations", "DELETE" %}
{% set scope = "REFERENCING OLD TABLE AS removed FOR EACH STATEMENT" %}
{% block body %}
    DELETE FROM {{ schema }}.adopted_conversations AS side
     WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_rows AS app WHERE app.app_id = side.app_id)
       AND side.app_id IN (SELECT removed.id FROM removed AS removed ({{ id_position }}));
{% endblock %}
