-- The turns of conversations that come in or back.
COPY {schema}.turns (conversation_key, sequence, owner, id, role, content, metadata{columns})
FROM STDIN
