-- Empty the side table of turns when the app truncates its table.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_turns_emptied() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.turns') IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM {{ schema }}.adopted_turns AS side;
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_turns_emptied() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_turns_emptied ON {{ turns.quoted_name }};
CREATE TRIGGER backstay_turns_emptied AFTER TRUNCATE ON {{ turns.quoted_name }}
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.adopted_turns_emptied();
ALTER TABLE {{ turns.quoted_name }} ENABLE ALWAYS TRIGGER backstay_turns_emptied;
