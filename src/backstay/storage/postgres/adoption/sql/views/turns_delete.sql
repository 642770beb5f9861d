-- Delete a turn of the view; a trigger on the user table removes its side row.
{% extends "views/base.sql" %}
{% from "macros.sql" import is_old %}
{% set name, event = "turns", "DELETE" %}
{% block body %}
    DELETE FROM {{ turns.quoted_name }} AS app
     WHERE {{ is_old(turn_identity, old_names) }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN OLD;
{% endblock %}
