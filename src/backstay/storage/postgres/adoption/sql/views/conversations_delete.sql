-- Delete a conversation of the view, with its turns.
{% extends "views/base.sql" %}
{% set name, event = "conversations", "DELETE" %}
{% block body %}
{% if foreign_key.cascades %}
    DELETE FROM {{ conversations.quoted_name }} AS app WHERE app.{{ id.name | quoted }} = OLD.{{ old_id | quoted }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% else %}
    BEGIN
        DELETE FROM {{ turns.quoted_name }} AS app WHERE app.{{ parent.name | quoted }} = OLD.{{ old_id | quoted }};
        DELETE FROM {{ conversations.quoted_name }} AS app WHERE app.{{ id.name | quoted }} = OLD.{{ old_id | quoted }};
        IF NOT FOUND THEN
            RAISE EXCEPTION 'kept' USING ERRCODE = 'HF003';
        END IF;
    EXCEPTION WHEN SQLSTATE 'HF003' THEN
        -- A trigger of the app kept the conversation, so its turns are kept, too.
        RETURN NULL;
    END;
{% endif %}
    RETURN OLD;
{% endblock %}
