-- Note in the index the conversations from which the app moves turns.
{% extends "triggers/index_turns.sql" %}
{% set name, event, rows = "index_turns_moved", "UPDATE", "OLD" %}
