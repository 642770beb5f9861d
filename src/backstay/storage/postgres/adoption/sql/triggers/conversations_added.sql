-- Give each conversation that the app inserts its row in the side table.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_added() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.conversations') IS NULL THEN
        RETURN NULL;
    END IF;
    {% set join %}JOIN added AS added ({{ id_position }}) ON added.id = app.their_id{% endset %}
    {% filter indent(4, first=True) %}{% include "side_tables/insert_missing.sql" %}{% endfilter %}
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_added() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_added ON {{ conversations.quoted_name }};
CREATE TRIGGER backstay_added AFTER INSERT ON {{ conversations.quoted_name }}
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.adopted_added();
ALTER TABLE {{ conversations.quoted_name }} ENABLE ALWAYS TRIGGER backstay_added;
