-- Create the view `conversations` over the user table and its side table.
-- With row-level security the view reads with the querying user's privileges, so that the tables' policies apply. A view
-- with a filter of its own would have to be a security barrier, which keeps the planner from using indexes.
CREATE VIEW {{ schema }}.conversations{{ " WITH (security_invoker)" if has_policies }} AS
SELECT
{% for column in view.columns %}
       {{ column.expression }} AS {{ column.name | quoted }}{{ "," if not loop.last }}
{% endfor %}
  FROM {{ schema }}.adopted_conversations AS side
  JOIN {{ conversations.quoted_name }} AS app ON app.{{ id.name | quoted }} = side.app_id
{% if owner %}
-- The owner is checked again: if a trigger was disabled, the row belongs to no one rather than to another owner.
-- Not by a plain equality: the planner would expect it to hold for hardly any row, and would read the whole table.
{% set app_owner %}app.{{ owner.name | quoted }}::text COLLATE "C"{% endset %}
 WHERE coalesce(side.owner = {{ app_owner }}, side.owner IS NULL AND {{ app_owner }} IS NULL)
{% endif %};
{% for column in view.columns if column.default is not none %}
ALTER VIEW {{ schema }}.conversations ALTER COLUMN {{ column.name | quoted }} SET DEFAULT {{ column.default }};
{% endfor %}
