-- Return what would prevent deleted rows from being restored: nothing, in a file.
SELECT NULL, NULL, NULL
 WHERE FALSE
