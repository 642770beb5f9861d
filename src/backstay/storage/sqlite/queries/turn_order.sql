-- Return the column that sorts turns which are not numbered: none, in a file.
SELECT NULL
 WHERE FALSE
