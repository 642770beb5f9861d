-- The frame of a trigger that keeps a side table in step with a user table. A template that extends it sets its `name`,
-- the user `table` and the `view` over it, the `event` after which it fires and the `scope`, and writes the body.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_{{ name }}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
{% block declarations %}{% endblock %}
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.{{ view }}') IS NULL THEN
        RETURN NULL;
    END IF;
{% block body %}{% endblock %}
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_{{ name }}() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_{{ name }} ON {{ table.quoted_name }};
CREATE TRIGGER backstay_{{ name }} AFTER {{ event }} ON {{ table.quoted_name }}
{{ scope }} EXECUTE FUNCTION {{ schema }}.adopted_{{ name }}();
ALTER TABLE {{ table.quoted_name }} ENABLE ALWAYS TRIGGER backstay_{{ name }};
