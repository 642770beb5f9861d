-- Create adopted_id(key): the id that a conversation has in the user table.
-- Index scans only: a function keeps its plan, and a plan made while the table was small would scan the whole table.
CREATE FUNCTION {{ schema }}.adopted_id(bigint) RETURNS {{ id.cast }} LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {% filter dollar_quoted %}
BEGIN
    RETURN (SELECT side.app_id FROM {{ schema }}.adopted_conversations AS side WHERE side.key = $1);
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_id(bigint) FROM PUBLIC;
