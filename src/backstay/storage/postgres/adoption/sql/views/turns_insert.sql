-- Insert a turn into the view: into the user table, and into the side table if a value has no column there.
{% extends "views/base.sql" %}
{% from "macros.sql" import columns %}
{% set written = view.written | rejectattr("user_column", "equalto", parent.name) | list %}
{% set name, event = "turns", "INSERT" %}
{% block declarations %}
DECLARE
    conversation_id  {{ id.cast }};
    inserted         record;
{% endblock %}
{% block body %}
    conversation_id := {{ schema }}.adopted_id(NEW.conversation_key);
    IF conversation_id IS NULL THEN
        RAISE EXCEPTION 'no such conversation' USING ERRCODE = {{ CONVERSATION_ABSENT | literal }};
    END IF;
    INSERT INTO {{ turns.quoted_name }} AS app
        ({{ written | map(attribute="user_column") | map("quoted") | join(", ") }}, {{ parent.name | quoted }})
    OVERRIDING SYSTEM VALUE VALUES
        ({{ written | map(attribute="stored") | join(",\n         ") }},
         conversation_id)
    RETURNING {{ columns(turn_identity, "app") }} INTO inserted;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% if side_turn_columns %}
    IF NEW.{{ side_turn_columns | join(" IS NOT NULL OR NEW.") }} IS NOT NULL THEN
        INSERT INTO {{ schema }}.adopted_turns
            ({{ turn_identity | map("quoted") | join(", ") }}, backstay_{{ side_turn_columns | join(", backstay_") }})
        VALUES
            ({{ columns(turn_identity, "inserted") }}, {{ columns(side_turn_columns, "NEW") }});
    END IF;
{% endif %}
    RETURN NEW;
{% endblock %}
