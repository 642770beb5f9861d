-- Remove the side row of each turn that the app deletes.
{% extends "triggers/base.sql" %}
{% from "macros.sql" import equal_keys %}
{% set name, table, view, event = "turns_gone", turns, "turns", "DELETE" %}
{% set scope = "REFERENCING OLD TABLE AS removed FOR EACH STATEMENT" %}
{% block body %}
    DELETE FROM {{ schema }}.adopted_turns AS side
     USING removed AS removed ({{ turn_positions }})
     WHERE {{ equal_keys(turn_identity, "side", "removed") }};
{% endblock %}
