-- Return the stored columns of a table in their order: type, whether it is NOT NULL, default, position in the primary
-- key.
SELECT name, type, "notnull", dflt_value, pk
  FROM pragma_table_info(:table)
 ORDER BY cid
