-- Insert a conversation into the view: into the side table, then into the user table.
-- No function of a view sets a search path, so that the app's own triggers run with the usual one.
{% from "macros.sql" import columns %}
CREATE FUNCTION {{ schema }}.adopted_conversations_insert() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
BEGIN
    IF (NEW.id::{{ id.cast }})::text IS DISTINCT FROM NEW.id THEN
        RAISE EXCEPTION 'the id does not fit' USING ERRCODE = {{ UNLIKE | literal }};
    END IF;
    INSERT INTO {{ schema }}.adopted_conversations
        ({{ (["key", "their_id", "id", "owner"] + side_columns) | join(", ") }})
    VALUES
        (coalesce(NEW.key, pg_catalog.nextval('{{ schema }}.conversations_key')), NEW.id::{{ id.cast }},
         {{ columns(["id", "owner"] + side_columns, "NEW") }});
    INSERT INTO {{ conversations.quoted_name }} AS app
        ({{ view.written | map(attribute="user_column") | map("quoted") | join(", ") }})
    OVERRIDING SYSTEM VALUE VALUES
        ({{ view.written | map(attribute="stored") | join(",\n         ") }});
    IF NOT FOUND THEN
        DELETE FROM {{ schema }}.adopted_conversations AS side WHERE side.their_id = NEW.id::{{ id.cast }};
        RETURN NULL;
    END IF;
    RETURN NEW;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_conversations_insert() FROM PUBLIC;
CREATE TRIGGER backstay_insert INSTEAD OF INSERT ON {{ schema }}.conversations
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_conversations_insert();
