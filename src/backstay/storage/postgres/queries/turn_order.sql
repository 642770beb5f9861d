-- Return the column that sorts adopted turns, as the view names it; nothing if turns are numbered.
SELECT columns ->> (mapping ->> 'order')
  FROM {schema}.adopted
 WHERE name = 'turns'
   AND mapping ->> 'order' IS NOT NULL
   AND mapping ->> 'sequence' IS NULL
