-- The columns of what is kept, by table in their order, with the types they were declared with; computed ones are left out.
WITH kept (name) AS (VALUES ('conversations'), ('turns'))
SELECT kept.name, described.name, described.type
  FROM kept
 CROSS JOIN pragma_table_info(kept.name) AS described
 ORDER BY kept.name, described.cid
