-- Empty the index when the app truncates the table of turns.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "index_turns_emptied", turns, "turns", "TRUNCATE" %}
{% set scope = "FOR EACH STATEMENT" %}
{% block body %}
    INSERT INTO {{ schema }}.unindexed_conversations (owner, first_key, last_key)
    SELECT DISTINCT owner, 0, 9223372036854775807 FROM {{ schema }}.conversation_index;
    DELETE FROM {{ schema }}.conversation_index;
{% endblock %}
