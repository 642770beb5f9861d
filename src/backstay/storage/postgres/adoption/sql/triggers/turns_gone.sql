-- Remove the side row of each turn that the app deletes.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
{% from "macros.sql" import equal_keys %}
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_turns_gone() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.turns') IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM {{ schema }}.adopted_turns AS side
     USING removed AS removed ({{ turn_positions }})
     WHERE {{ equal_keys(turn_identity, "side", "removed") }};
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_turns_gone() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_turns_gone ON {{ turns.quoted_name }};
CREATE TRIGGER backstay_turns_gone AFTER DELETE ON {{ turns.quoted_name }}
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.adopted_turns_gone();
ALTER TABLE {{ turns.quoted_name }} ENABLE ALWAYS TRIGGER backstay_turns_gone;
