-- Note in the index the conversations of which the app changes turns.
{% extends "triggers/index_turns.sql" %}
{% set name, event, rows = "index_turns_changed", "UPDATE", "NEW" %}
