-- Return whether the built-in tables, which an adoption would hide, hold conversations.
SELECT EXISTS (SELECT FROM {{ schema }}.conversations)
