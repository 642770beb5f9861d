-- Empty the side table of turns when the app truncates its table.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "turns_emptied", turns, "turns", "TRUNCATE" %}
{% set scope = "FOR EACH STATEMENT" %}
{% block body %}
    DELETE FROM {{ schema }}.adopted_turns AS side;
{% endblock %}
