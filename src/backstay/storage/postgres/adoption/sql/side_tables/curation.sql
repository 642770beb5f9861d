-- Let reviews and earlier versions refer to {{ table }}, and so go with its rows. They are dropped with the table before it.
{% for name in ("conversation_reviews", "conversation_versions") %}
ALTER TABLE {{ schema }}.{{ name }} DROP CONSTRAINT {{ name }}_conversation_key_fkey;
DELETE FROM {{ schema }}.{{ name }};
ALTER TABLE {{ schema }}.{{ name }} ADD CONSTRAINT {{ name }}_conversation_key_fkey
    FOREIGN KEY (conversation_key) REFERENCES {{ schema }}.{{ table }} (key) ON DELETE CASCADE;
{% endfor %}
