-- Delete a conversation of the view, with its turns.
CREATE FUNCTION {{ schema }}.adopted_conversations_delete() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
BEGIN
{% if foreign_key.cascades %}
    DELETE FROM {{ conversations.quoted_name }} AS app WHERE app.{{ id.name | quoted }} = OLD.{{ old_id | quoted }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% else %}
    BEGIN
        DELETE FROM {{ turns.quoted_name }} AS app WHERE app.{{ parent.name | quoted }} = OLD.{{ old_id | quoted }};
        DELETE FROM {{ conversations.quoted_name }} AS app WHERE app.{{ id.name | quoted }} = OLD.{{ old_id | quoted }};
        IF NOT FOUND THEN
            RAISE EXCEPTION 'kept' USING ERRCODE = 'HF003';
        END IF;
    EXCEPTION WHEN SQLSTATE 'HF003' THEN
        -- A trigger of the app kept the conversation, so its turns are kept, too.
        RETURN NULL;
    END;
{% endif %}
    RETURN OLD;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_conversations_delete() FROM PUBLIC;
CREATE TRIGGER backstay_delete INSTEAD OF DELETE ON {{ schema }}.conversations
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_conversations_delete();
