-- Return the tables without rowid.
SELECT name
  FROM pragma_table_list
 WHERE schema = 'main'
   AND wr = 1
