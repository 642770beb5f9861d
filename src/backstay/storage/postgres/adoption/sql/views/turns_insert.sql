-- Insert a turn into the view: into the user table, and into the side table if a value has no column there.
{% from "macros.sql" import columns %}
CREATE FUNCTION {{ schema }}.adopted_turns_insert() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
DECLARE
    conversation_id  {{ id.cast }};
    inserted         record;
BEGIN
    conversation_id := {{ schema }}.adopted_id(NEW.conversation_key);
    IF conversation_id IS NULL THEN
        RAISE EXCEPTION 'no such conversation' USING ERRCODE = {{ ABSENT | literal }};
    END IF;
    INSERT INTO {{ turns.quoted_name }} AS app
        ({% for column in view.written if column.user_column != parent.name %}{{ column.user_column | quoted }}, {% endfor %}{{ parent.name | quoted }})
    OVERRIDING SYSTEM VALUE VALUES
        ({% for column in view.written if column.user_column != parent.name %}{{ column.stored }}, {% endfor %}conversation_id)
    RETURNING {{ columns(turn_identity, "app") }} INTO inserted;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% if side_turn_columns %}
    IF {% for name in side_turn_columns %}NEW.{{ name }} IS NOT NULL{{ " OR " if not loop.last }}{% endfor %} THEN
        INSERT INTO {{ schema }}.adopted_turns
            ({% for name in turn_identity %}{{ name | quoted }}, {% endfor %}{% for name in side_turn_columns %}backstay_{{ name }}{{ ", " if not loop.last }}{% endfor %})
        VALUES
            ({{ columns(turn_identity, "inserted") }}{% for name in side_turn_columns %}, NEW.{{ name }}{% endfor %});
    END IF;
{% endif %}
    RETURN NEW;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_turns_insert() FROM PUBLIC;
CREATE TRIGGER backstay_insert INSTEAD OF INSERT ON {{ schema }}.turns
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_turns_insert();
