-- Delete a turn of the view; a trigger on the user table removes its side row.
{% from "macros.sql" import is_old %}
CREATE FUNCTION {{ schema }}.adopted_turns_delete() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
BEGIN
    DELETE FROM {{ turns.quoted_name }} AS app
     WHERE {{ is_old(turn_identity, old_names) }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN OLD;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_turns_delete() FROM PUBLIC;
CREATE TRIGGER backstay_delete INSTEAD OF DELETE ON {{ schema }}.turns
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_turns_delete();
