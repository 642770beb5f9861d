-- Return the conversations in a backup that were replaced, and whose replacement is in the library.
SELECT replacements.old_id
  FROM {schema}.replacements
  JOIN {schema}.conversations ON conversations.owner = replacements.owner AND conversations.id = replacements.new_id
 WHERE replacements.owner = :owner
   AND replacements.backup_id = :backup_id
 ORDER BY replacements.job_key, replacements.position
