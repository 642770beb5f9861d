-- Return items of a job in their order, each failed one with its latest error.
SELECT items.position, items.id, items.state, inputs.topic, inputs.persona, conversations.topic,
       conversations.persona, items.attempt, coalesce(items.conversation_id, replacements.new_id),
       attempts.error_code, attempts.error_message,
       items.state = 'failed' AND items.original_digest IS NOT NULL AND items.tries = 0 AND items.interruptions = 0
  FROM {schema}.items
  JOIN {schema}.jobs ON jobs.key = items.job_key
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = items.job_key AND inputs.position = items.position
  LEFT JOIN {schema}.replacements ON replacements.job_key = items.job_key AND replacements.position = items.position
  LEFT JOIN {schema}.conversations ON conversations.owner = items.owner
                         AND conversations.id = coalesce(items.conversation_id, replacements.new_id)
  LEFT JOIN {schema}.attempts ON items.state = 'failed'
                    AND attempts.job_key = items.job_key
                    AND attempts.position = items.position
                    AND attempts.number = items.attempt
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
   AND items.position > :after
 ORDER BY items.position
 LIMIT :limit
