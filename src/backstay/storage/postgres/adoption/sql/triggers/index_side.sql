-- Note in the index which conversations change in the side table, as on the built-in table.
{% for name, event, table in [("stored", "INSERT", "NEW"), ("updated", "UPDATE", "NEW"), ("moved", "UPDATE", "OLD"),
                              ("deleted", "DELETE", "OLD")] %}
DROP TRIGGER IF EXISTS backstay_unindex_{{ name }} ON {{ schema }}.adopted_conversations;
CREATE TRIGGER backstay_unindex_{{ name }} AFTER {{ event }} ON {{ schema }}.adopted_conversations
REFERENCING {{ table }} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.unindex_conversations();
ALTER TABLE {{ schema }}.adopted_conversations ENABLE ALWAYS TRIGGER backstay_unindex_{{ name }};
{% endfor %}
