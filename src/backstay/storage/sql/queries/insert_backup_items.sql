-- Insert items of a backup while it is being written.
INSERT INTO {schema}.backup_items (backup_key, position, owner, id, conversation_key, digest, row_version, curation_digest)
{rows:bigint,bigint,text,text,bigint,bytea,bytea,bytea}
