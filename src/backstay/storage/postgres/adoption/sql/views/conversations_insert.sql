-- Insert a conversation into the view: into the side table, then into the user table.
{% extends "views/base.sql" %}
{% from "macros.sql" import columns %}
{% set name, event = "conversations", "INSERT" %}
{% block body %}
    IF (NEW.id::{{ id.cast }})::text IS DISTINCT FROM NEW.id THEN
        RAISE EXCEPTION 'the id does not fit' USING ERRCODE = {{ ID_DIFFERS | literal }};
    END IF;
    INSERT INTO {{ schema }}.adopted_conversations
        ({{ (["key", "app_id", "id", "owner"] + side_columns) | join(", ") }})
    VALUES
        (coalesce(NEW.key, pg_catalog.nextval('{{ schema }}.conversations_key')), NEW.id::{{ id.cast }},
         {{ columns(["id", "owner"] + side_columns, "NEW") }});
    INSERT INTO {{ conversations.quoted_name }} AS app
        ({{ view.written | map(attribute="user_column") | map("quoted") | join(", ") }})
    OVERRIDING SYSTEM VALUE VALUES
        ({{ view.written | map(attribute="stored") | join(",\n         ") }});
    IF NOT FOUND THEN
        DELETE FROM {{ schema }}.adopted_conversations AS side WHERE side.app_id = NEW.id::{{ id.cast }};
        RETURN NULL;
    END IF;
    RETURN NEW;
{% endblock %}
