-- Create new_id(): the id of a new conversation, as the default of the user table makes it; null for a built-in id.
CREATE OR REPLACE FUNCTION {{ schema }}.new_id() RETURNS text LANGUAGE sql
AS {% filter dollar_quoted %}SELECT {% if id_default %}({{ id_default }}){% else %}NULL{% endif %}::text{% endfilter %};
