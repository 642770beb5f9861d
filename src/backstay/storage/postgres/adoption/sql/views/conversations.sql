-- Create the view `conversations` over the user table and its side table.
-- With row-level security it reads as the user who asks, so that the policies of the tables below hold. A view that
-- filters by itself would have to be a security barrier, through which the planner sees no index.
CREATE VIEW {{ schema }}.conversations{{ " WITH (security_invoker)" if has_policies }} AS
SELECT
{% for column in view.columns %}
       {{ column.expression }} AS {{ column.name | quoted }}{{ "," if not loop.last }}
{% endfor %}
  FROM {{ schema }}.adopted_conversations AS side
  JOIN {{ conversations.quoted_name }} AS app ON app.{{ id.name | quoted }} = side.their_id
{% if owner %}
-- Checked again: if a trigger was switched off, the row belongs to no one rather than to another owner.
-- Not as an equation, which the planner would expect to hold for hardly any row, and so read all of them.
{% set app_owner %}app.{{ owner.name | quoted }}::text COLLATE "C"{% endset %}
 WHERE coalesce(side.owner = {{ app_owner }}, side.owner IS NULL AND {{ app_owner }} IS NULL)
{% endif %};
{% for column in view.columns if column.default is not none %}
ALTER VIEW {{ schema }}.conversations ALTER COLUMN {{ column.name | quoted }} SET DEFAULT {{ column.default }};
{% endfor %}
