-- The tables whose rows have no number of their own.
SELECT name
  FROM pragma_table_list
 WHERE schema = 'main'
   AND wr = 1
