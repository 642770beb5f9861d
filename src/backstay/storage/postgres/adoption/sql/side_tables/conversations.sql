-- Create the side table of conversations: their keys and owners, and each built-in column that the user table lacks.
CREATE TABLE {{ schema }}.adopted_conversations (
    key         bigint PRIMARY KEY DEFAULT pg_catalog.nextval('{{ schema }}.conversations_key'),
    app_id      {{ id.cast }} NOT NULL UNIQUE,
    id          text COLLATE "C" NOT NULL UNIQUE,
    owner       text COLLATE "C"
{% for name in side_columns %}
  , {{ name }}  text
    {%- if name in sorted_by_bytes %} COLLATE "C"{% endif %}
    {%- if name in ("created_at", "updated_at") %} NOT NULL DEFAULT {{ now }}{% endif %}

{% endfor %}
);
CREATE INDEX ON {{ schema }}.adopted_conversations (owner, key);
{% if "job_id" in side_columns %}
CREATE INDEX ON {{ schema }}.adopted_conversations (owner, job_id) WHERE job_id IS NOT NULL;
{% endif %}
