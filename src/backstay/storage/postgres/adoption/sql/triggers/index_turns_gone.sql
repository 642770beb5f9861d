-- Note in the index the conversations of which the app deletes turns.
{% extends "triggers/index_turns.sql" %}
{% set name, event, rows = "index_turns_gone", "DELETE", "OLD" %}
