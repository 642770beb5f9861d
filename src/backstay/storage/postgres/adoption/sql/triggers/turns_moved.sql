-- Update the side row of a turn whose identity the app changes.
{% extends "triggers/base.sql" %}
{% from "macros.sql" import changed, equal_keys %}
{% set name, table, view, event = "turns_moved", turns, "turns", "UPDATE" %}
{% set scope %}FOR EACH ROW WHEN ({{ changed(turn_identity) }}){% endset %}
{% block body %}
    DELETE FROM {{ schema }}.adopted_turns AS side
     USING (SELECT NEW.*) AS row_now ({{ turn_positions }})
     WHERE {{ equal_keys(turn_identity, "side", "row_now") }};
    UPDATE {{ schema }}.adopted_turns AS side
       SET {% for name in turn_identity %}{{ name | quoted }} = row_now.key_{{ loop.index0 }}{{ ", " if not loop.last }}{% endfor +%}
      FROM (SELECT OLD.*) AS row_before ({{ turn_positions }}), (SELECT NEW.*) AS row_now ({{ turn_positions }})
     WHERE {{ equal_keys(turn_identity, "side", "row_before") }};
{% endblock %}
