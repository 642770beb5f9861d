-- Give the columns that identify a turn the names that they have in the user table now.
{% for old_name, name in renamed %}
ALTER TABLE {{ schema }}.adopted_turns RENAME {{ old_name | quoted }} TO {{ name | quoted }};
{% endfor %}
