-- Create new_id(): a new conversation's id from the user table's default; null if Backstay generates the id.
CREATE OR REPLACE FUNCTION {{ schema }}.new_id() RETURNS text LANGUAGE sql
AS {% filter dollar_quoted %}SELECT {% if id_default %}({{ id_default }}){% else %}NULL{% endif %}::text{% endfilter %};
