-- Remove the side row of each conversation that the app deletes, unless its id is in use again.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_gone() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.conversations') IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM {{ schema }}.adopted_conversations AS side
     WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_rows AS app WHERE app.their_id = side.their_id)
       AND side.their_id IN (SELECT removed.id FROM removed AS removed ({{ id_position }}));
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_gone() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_gone ON {{ conversations.quoted_name }};
CREATE TRIGGER backstay_gone AFTER DELETE ON {{ conversations.quoted_name }}
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.adopted_gone();
ALTER TABLE {{ conversations.quoted_name }} ENABLE ALWAYS TRIGGER backstay_gone;
