-- The frame of a trigger that notes in the index the conversations whose turns the app changes. A template that extends it
-- sets `name` and `event`, and whether it is the `NEW` or the `OLD` rows that name the conversations, as `rows`.
{% extends "triggers/base.sql" %}
{% set table, view = turns, "turns" %}
{% set scope = "REFERENCING " ~ rows ~ " TABLE AS changed FOR EACH STATEMENT" %}
{% block body %}
    INSERT INTO {{ schema }}.unindexed_conversations (owner, first_key, last_key)
    SELECT DISTINCT side.owner, side.key, side.key
      FROM changed AS changed ({{ parent_position }})
      JOIN {{ schema }}.adopted_conversations AS side ON side.app_id = changed.parent
     WHERE side.owner IS NOT NULL;
{% endblock %}
