-- List the indexes of a table that cover every row, the primary key first: their columns, and whether they are unique.
SELECT ARRAY(SELECT attname::text
               FROM unnest(indkey::smallint[]) WITH ORDINALITY AS at (number, place)
               JOIN pg_attribute ON attrelid = indrelid AND attnum = at.number
              WHERE at.place <= indnkeyatts ORDER BY at.place),
       indisunique AND indimmediate
  FROM pg_index
 WHERE indrelid = %s::regclass
   AND indisvalid
   AND indpred IS NULL
   AND indexprs IS NULL
 ORDER BY indisprimary DESC, indexrelid
