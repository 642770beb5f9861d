-- Return what prevents new conversations of an owner from being stored, as far as it is known before storing.
SELECT coalesce(hindered, CASE WHEN :owner::text !~ owner_pattern THEN concat('an owner has to look like ', asked ->> 'owner', ' there, and ', :owner::text, ' does not; say whose with --owner') END)
  FROM {schema}.adopted
 WHERE name = 'conversations'
