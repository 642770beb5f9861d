-- Create the view adopted_rows, through which the triggers read the user table, since a view follows a renamed
-- column, but the text of a function does not.
DROP VIEW IF EXISTS {{ schema }}.adopted_rows;
CREATE VIEW {{ schema }}.adopted_rows AS
SELECT app.{{ id.name | quoted }} AS app_id,
{% if owner %}
       app.{{ owner.name | quoted }}::text COLLATE "C" AS owner
{% else %}
       {{ default_owner | literal }} COLLATE "C" AS owner
{% endif %}
{% if created_at %}
     , app.{{ created_at.name | quoted }} AS made
{% if has_updated_at %}
     , {{ created_at_text }} AS updated_at
{% endif %}
{% endif %}
  FROM {{ conversations.quoted_name }} AS app;
