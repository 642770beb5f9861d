-- Create adopted_id(key): the id that a conversation has in the user table.
-- A function keeps its plan, and one made while the table was small would scan it when it is large: so by index only.
CREATE FUNCTION {{ schema }}.adopted_id(bigint) RETURNS {{ id.cast }} LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    RETURN (SELECT side.their_id FROM {{ schema }}.adopted_conversations AS side WHERE side.key = $1);
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_id(bigint) FROM PUBLIC;
