-- Give each conversation that the app inserts its row in the side table.
{% extends "triggers/base.sql" %}
{% set name, table, view, event = "added", conversations, "conversations", "INSERT" %}
{% set scope = "REFERENCING NEW TABLE AS added FOR EACH STATEMENT" %}
{% block body %}
    {% set join %}JOIN added AS added ({{ id_position }}) ON added.id = app.app_id{% endset %}
    {% filter indent(4, first=True) %}{% include "side_tables/insert_missing.sql" %}{% endfilter %}
{% endblock %}
