-- Return the keys of the conversations that a job is still to replace.
SELECT conversations.key
  FROM {schema}.replacements AS planned
  JOIN {schema}.conversations ON conversations.owner = planned.owner AND conversations.id = planned.old_id
 WHERE planned.job_key = :job_key
   AND planned.owner = :owner
   AND planned.new_id IS NULL
