-- Record ranges of keys of the conversations that an import has stored.
INSERT INTO {schema}.imports (owner, id, first_key, last_key)
{rows:text,text,bigint,bigint}
