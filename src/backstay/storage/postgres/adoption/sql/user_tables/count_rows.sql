-- Count the rows of a user table; with `null_column`, those that have no value in that column.
SELECT count(*)
  FROM {{ table.quoted_name }}
{% if null_column %}
 WHERE {{ null_column | quoted }} IS NULL
{% endif %}
