-- Create the view `turns` over the user table and the side table of conversations.
CREATE VIEW {{ schema }}.turns{{ " WITH (security_invoker)" if has_policies }} AS
SELECT
{% for column in view.columns %}
       {{ column.expression }} AS {{ column.name | quoted }}{{ "," if not loop.last }}
{% endfor %}
  FROM {{ turns.quoted_name }} AS app
  JOIN {{ schema }}.adopted_conversations AS side ON side.app_id = app.{{ parent.name | quoted }};
{% for column in view.columns if column.default is not none %}
ALTER VIEW {{ schema }}.turns ALTER COLUMN {{ column.name | quoted }} SET DEFAULT {{ column.default }};
{% endfor %}
