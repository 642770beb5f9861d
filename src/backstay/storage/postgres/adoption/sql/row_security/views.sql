-- Let users signed in to Supabase read the views, and the service role write through them.
REVOKE ALL ON {{ schema }}.conversations, {{ schema }}.turns FROM {{ strangers | join(", ") }};
{% if users_may_read %}
GRANT SELECT ON {{ schema }}.conversations, {{ schema }}.turns TO authenticated;
{% endif %}
{% if has_service_role %}
GRANT ALL ON {{ schema }}.conversations, {{ schema }}.turns TO service_role;
{% endif %}
