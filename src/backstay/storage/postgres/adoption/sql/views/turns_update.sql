-- Update a turn of the view, in the side table and in the user table.
{% extends "views/base.sql" %}
{% from "macros.sql" import assigned, changed, columns, forget_originals, is_old %}
{% set name, event = "turns", "UPDATE" %}
{% block body %}
{{ forget_originals(view.originals) }}
{% if side_turn_columns %}
    IF {{ changed(side_turn_columns) }} THEN
        INSERT INTO {{ schema }}.adopted_turns
            ({{ turn_identity | map("quoted") | join(", ") }}, backstay_{{ side_turn_columns | join(", backstay_") }})
        VALUES
            ({{ columns(old_names.values(), "OLD") }}, {{ columns(side_turn_columns, "NEW") }})
        ON CONFLICT ({{ turn_identity | map("quoted") | join(", ") }}) DO UPDATE
           SET
{% for name in side_turn_columns %}
               backstay_{{ name }} = EXCLUDED.backstay_{{ name }}{{ "," if not loop.last else ";" }}
{% endfor %}
    END IF;
{% endif %}
{% if view.assignments %}
    UPDATE {{ turns.quoted_name }} AS app
       SET {{ assigned(view.assignments) }}
     WHERE {{ is_old(turn_identity, old_names) }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% endif %}
    RETURN NEW;
{% endblock %}
