-- Count the rows of a side table that hold a value for which the user table has no column.
SELECT count(*)
  FROM {{ side_table }}
 WHERE {{ names | map("quoted") | join(" IS NOT NULL OR ") }} IS NOT NULL
