-- The columns of a table in their order, with the types they were declared with; computed ones are left out.
SELECT name, type
  FROM pragma_table_info(:table)
 ORDER BY cid
