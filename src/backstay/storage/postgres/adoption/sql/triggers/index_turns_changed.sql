-- Note in the index the conversations of which the app changes turns.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "index_turns_changed", turns, "turns", "UPDATE" %}
{% set scope = "REFERENCING NEW TABLE AS changed FOR EACH STATEMENT" %}
{% block body %}
    INSERT INTO {{ schema }}.unindexed_conversations (owner, first_key, last_key)
    SELECT DISTINCT side.owner, side.key, side.key
      FROM changed AS changed ({{ parent_position }})
      JOIN {{ schema }}.adopted_conversations AS side ON side.app_id = changed.parent
     WHERE side.owner IS NOT NULL;
{% endblock %}
