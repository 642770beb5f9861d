-- The ranges of keys of the conversations that an import has stored; of the last one for `last`. A part of other statements.
(SELECT first_key, last_key
   FROM {schema}.imports
  WHERE owner = :owner
    AND id = CASE CAST(:import_id AS text)
                  WHEN 'last' THEN (SELECT id FROM {schema}.imports WHERE owner = :owner ORDER BY number DESC LIMIT 1)
                  ELSE :import_id
             END)
