-- Return whether there is a text index.
SELECT EXISTS (SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'conversation_text')
