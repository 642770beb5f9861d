-- Note in the index the conversations to which the app adds turns.
{% extends "triggers/index_turns.sql" %}
{% set name, event, rows = "index_turns_added", "INSERT", "NEW" %}
