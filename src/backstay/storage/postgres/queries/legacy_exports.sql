-- Return the original library's backups, with times as JSON writes them.
SELECT {backup_id}::text, {user_id}::text, {file_path}::text, {backup_reason}::text,
       to_jsonb({expires_at}) #>> '{}', to_jsonb({created_at}) #>> '{}'
  FROM {original} AS legacy
 ORDER BY 1
