-- Update a conversation of the view, in the side table and in the user table.
{% extends "views/base.sql" %}
{% from "macros.sql" import assigned, forget_originals %}
{% set name, event = "conversations", "UPDATE" %}
{% block body %}
{{ forget_originals(view.originals) }}
{% if updated_side_columns %}
    UPDATE {{ schema }}.adopted_conversations AS side
       SET {% for name in updated_side_columns %}{{ name }} = NEW.{{ name }}{{ ", " if not loop.last }}{% endfor +%}
     WHERE side.key = OLD.key;
{% endif %}
{% if view.assignments %}
    UPDATE {{ conversations.quoted_name }} AS app
       SET {{ assigned(view.assignments) }}
     WHERE app.{{ id.name | quoted }} = OLD.{{ old_id | quoted }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% endif %}
    RETURN NEW;
{% endblock %}
