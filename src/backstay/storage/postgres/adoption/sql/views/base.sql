-- The frame of a function that carries out an event on a view, and of the trigger that calls it. A template that
-- extends it sets `name`, that of the view, and the `event`, and writes the body.
-- No function of a view sets a search path, so that the app's own triggers run with the usual one.
CREATE FUNCTION {{ schema }}.adopted_{{ name }}_{{ event | lower }}() RETURNS trigger LANGUAGE plpgsql
AS {% filter dollar_quoted %}
#variable_conflict use_column
{% block declarations %}{% endblock %}
BEGIN
{% block body %}{% endblock %}
END
{% endfilter %};
REVOKE ALL ON FUNCTION {{ schema }}.adopted_{{ name }}_{{ event | lower }}() FROM PUBLIC;
CREATE TRIGGER backstay_{{ event | lower }} INSTEAD OF {{ event }} ON {{ schema }}.{{ name }}
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.adopted_{{ name }}_{{ event | lower }}();
