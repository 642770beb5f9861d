-- What the snapshot held, as far as it is written.
COPY {schema}.backup_items (backup_key, position, owner, id, conversation_key, digest, row_version)
FROM STDIN {binary:bigint,bigint,text,text,bigint,bytea,bytea}
