-- Update the side row of a conversation to which the app gives another id or owner.
-- SECURITY DEFINER, since it runs in statements of roles that may not use the side tables. The planner settings are
-- explained in side_tables/adopted_id.sql.
{% from "macros.sql" import changed %}
CREATE OR REPLACE FUNCTION {{ schema }}.adopted_moved() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
DECLARE
    old_id  {{ id.cast }};
    new_id  {{ id.cast }};
BEGIN
    -- If the view is gone, a column was dropped with CASCADE, and positions have shifted: wait for another adoption.
    IF pg_catalog.to_regclass('{{ schema }}.conversations') IS NULL THEN
        RETURN NULL;
    END IF;
    -- By position, not by name: the text of a function does not follow a renamed column.
    old_id := (SELECT row_before.id FROM (SELECT OLD.*) AS row_before ({{ id_position }}));
    new_id := (SELECT row_now.id FROM (SELECT NEW.*) AS row_now ({{ id_position }}));
    IF old_id IS DISTINCT FROM new_id
        AND EXISTS (SELECT 1 FROM {{ schema }}.adopted_conversations AS side WHERE side.their_id = old_id) THEN
        DELETE FROM {{ schema }}.adopted_conversations AS side WHERE side.their_id = new_id;
    END IF;
    UPDATE {{ schema }}.adopted_conversations AS side
       SET their_id = new_id, id = new_id::text{{ ", owner = app.owner" if owner }}
      FROM {{ schema }}.adopted_rows AS app
     WHERE app.their_id = new_id AND side.their_id = old_id;
    IF NOT FOUND OR old_id IS DISTINCT FROM new_id THEN
        DELETE FROM {{ schema }}.adopted_conversations AS side
         WHERE NOT EXISTS (SELECT 1 FROM {{ schema }}.adopted_rows AS app WHERE app.their_id = side.their_id)
           AND side.their_id = old_id;
        {% set condition %}AND app.their_id IN (old_id, new_id){% endset %}
        {% filter indent(8, first=True) %}{% include "side_tables/insert_missing.sql" %}{% endfilter %}
    END IF;
    RETURN NULL;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_moved() FROM PUBLIC;
DROP TRIGGER IF EXISTS backstay_moved ON {{ conversations.quoted_name }};
CREATE TRIGGER backstay_moved AFTER UPDATE ON {{ conversations.quoted_name }}
FOR EACH ROW WHEN ({{ changed([id.name, owner.name] if owner else [id.name]) }}) EXECUTE FUNCTION {{ schema }}.adopted_moved();
ALTER TABLE {{ conversations.quoted_name }} ENABLE ALWAYS TRIGGER backstay_moved;
