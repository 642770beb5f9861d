-- Give the built-in tables their names back.
{% for name in built_in_tables %}
ALTER TABLE {{ schema }}.own_{{ name }} RENAME TO {{ name }};
{% endfor %}
