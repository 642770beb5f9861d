-- Empty the side table of conversations when the app truncates its table.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "emptied", conversations, "conversations", "TRUNCATE" %}
{% set scope = "FOR EACH STATEMENT" %}
{% block body %}
    DELETE FROM {{ schema }}.adopted_conversations AS side
     WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_rows AS app WHERE app.app_id = side.app_id);
{% endblock %}
