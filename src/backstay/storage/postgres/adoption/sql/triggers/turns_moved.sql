-- Update the side row of a turn whose identity the app changes.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
{% from "macros.sql" import changed, equal_keys %}
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_turns_moved() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.turns') IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM {{ schema }}.adopted_turns AS side
     USING (SELECT NEW.*) AS row_now ({{ turn_positions }})
     WHERE {{ equal_keys(turn_identity, "side", "row_now") }};
    UPDATE {{ schema }}.adopted_turns AS side
       SET {% for name in turn_identity %}{{ name | quoted }} = row_now.key_{{ loop.index0 }}{{ ", " if not loop.last }}{% endfor +%}
      FROM (SELECT OLD.*) AS row_before ({{ turn_positions }}), (SELECT NEW.*) AS row_now ({{ turn_positions }})
     WHERE {{ equal_keys(turn_identity, "side", "row_before") }};
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_turns_moved() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_turns_moved ON {{ turns.quoted_name }};
CREATE TRIGGER backstay_turns_moved AFTER UPDATE ON {{ turns.quoted_name }}
FOR EACH ROW WHEN ({{ changed(turn_identity) }}) EXECUTE FUNCTION {{ schema }}.adopted_turns_moved();
ALTER TABLE {{ turns.quoted_name }} ENABLE ALWAYS TRIGGER backstay_turns_moved;
