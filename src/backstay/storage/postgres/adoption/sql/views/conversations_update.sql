-- Update a conversation of the view, in the side table and in the user table.
{% from "macros.sql" import assigned %}
CREATE FUNCTION {{ schema }}.adopted_conversations_update() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
BEGIN
{% if updated_side_columns %}
    UPDATE {{ schema }}.adopted_conversations AS side
       SET {% for name in updated_side_columns %}{{ name }} = NEW.{{ name }}{{ ", " if not loop.last }}{% endfor +%}
     WHERE side.key = OLD.key;
{% endif %}
{% if view.assignments %}
    UPDATE {{ conversations.quoted_name }} AS app
       SET {{ assigned(view.assignments) }}
     WHERE app.{{ id.name | quoted }} = OLD.{{ old_id | quoted }};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% endif %}
    RETURN NEW;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_conversations_update() FROM PUBLIC;
CREATE TRIGGER backstay_update INSTEAD OF UPDATE ON {{ schema }}.conversations
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_conversations_update();
