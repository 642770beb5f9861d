-- Protect the side tables with row-level security: users signed in to Supabase read their own rows, no one else reads any.
{% from "macros.sql" import equal %}
ALTER TABLE {{ schema }}.adopted_conversations ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON {{ schema }}.adopted_conversations FROM {{ strangers | join(", ") }};
{% if side_turn_columns %}
ALTER TABLE {{ schema }}.adopted_turns ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON {{ schema }}.adopted_turns FROM {{ strangers | join(", ") }};
{% endif %}
{% if users_may_read %}
GRANT SELECT ON {{ schema }}.adopted_conversations TO authenticated;
CREATE POLICY own_rows ON {{ schema }}.adopted_conversations FOR SELECT TO authenticated
    USING (owner = (SELECT {{ schema }}.signed_in()));
{% if side_turn_columns %}
GRANT SELECT ON {{ schema }}.adopted_turns TO authenticated;
-- The subquery reads as the user who asks, and so finds only turns of that user.
CREATE POLICY own_rows ON {{ schema }}.adopted_turns FOR SELECT TO authenticated USING (EXISTS (
    SELECT 1
      FROM {{ turns.quoted_name }} AS app
      JOIN {{ schema }}.adopted_conversations AS side ON side.app_id = app.{{ parent.name | quoted }}
     WHERE {{ equal(turn_identity, "app", "adopted_turns") }}));
{% endif %}
{% endif %}
{% if has_service_role %}
GRANT ALL ON {{ schema }}.adopted_conversations TO service_role;
CREATE POLICY every_row ON {{ schema }}.adopted_conversations TO service_role USING (TRUE) WITH CHECK (TRUE);
{% if side_turn_columns %}
GRANT ALL ON {{ schema }}.adopted_turns TO service_role;
CREATE POLICY every_row ON {{ schema }}.adopted_turns TO service_role USING (TRUE) WITH CHECK (TRUE);
{% endif %}
GRANT EXECUTE ON FUNCTION {{ schema }}.adopted_id(bigint) TO service_role;
{% endif %}
