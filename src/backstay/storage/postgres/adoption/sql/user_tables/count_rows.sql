-- Count the rows of a user table; with `without`, those that have no value in that column.
SELECT count(*)
  FROM {{ table.quoted_name }}
{% if without %}
 WHERE {{ without | quoted }} IS NULL
{% endif %}
