-- Note in the index which conversations the app changes.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "index_conversations_changed", conversations, "conversations", "UPDATE" %}
{% set scope = "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT" %}
{% block body %}
    INSERT INTO {{ schema }}.unindexed_conversations (owner, first_key, last_key)
    SELECT side.owner, side.key, side.key
      FROM changed AS changed ({{ id_position }})
      JOIN {{ schema }}.adopted_conversations AS side ON side.app_id = changed.id
     WHERE side.owner IS NOT NULL;
{% endblock %}
