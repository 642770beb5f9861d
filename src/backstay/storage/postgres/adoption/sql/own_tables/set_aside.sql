-- Rename the built-in tables, so that views can have their names.
{% for name in built_in_tables %}
ALTER TABLE {{ schema }}.{{ name }} RENAME TO own_{{ name }};
{% endfor %}
