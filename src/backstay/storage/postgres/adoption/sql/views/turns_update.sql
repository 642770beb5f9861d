-- Update a turn of the view, in the side table and in the user table.
{% from "macros.sql" import changed %}
CREATE FUNCTION {{ schema }}.adopted_turns_update() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
BEGIN
{% if side_turn_columns %}
    IF {{ changed(side_turn_columns) }} THEN
        INSERT INTO {{ schema }}.adopted_turns
            ({% for name in turn_identity %}{{ name | quoted }}, {% endfor %}{% for name in side_turn_columns %}backstay_{{ name }}{{ ", " if not loop.last }}{% endfor %})
        VALUES
            ({% for name in turn_identity %}OLD.{{ old_names[name] | quoted }}, {% endfor %}{% for name in side_turn_columns %}NEW.{{ name }}{{ ", " if not loop.last }}{% endfor %})
        ON CONFLICT ({{ turn_identity | map("quoted") | join(", ") }}) DO UPDATE
           SET {% for name in side_turn_columns %}backstay_{{ name }} = EXCLUDED.backstay_{{ name }}{{ ", " if not loop.last }}{% endfor %};
    END IF;
{% endif %}
{% if view.assignments %}
    UPDATE {{ turns.quoted_name }} AS app
       SET {% for column, value in view.assignments %}{{ column | quoted }} = {{ value }}{{ ", " if not loop.last }}{% endfor %}

     WHERE {% for name in turn_identity %}app.{{ name | quoted }} = OLD.{{ old_names[name] | quoted }}{{ " AND " if not loop.last }}{% endfor %};
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
{% endif %}
    RETURN NEW;
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_turns_update() FROM PUBLIC;
CREATE TRIGGER backstay_update INSTEAD OF UPDATE ON {{ schema }}.turns
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_turns_update();
