-- Return whether there is a text index.
SELECT to_regclass('{schema}.conversation_texts_by_trigram') IS NOT NULL
