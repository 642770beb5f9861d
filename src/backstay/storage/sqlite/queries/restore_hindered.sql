-- What would keep rows, of what is kept, from being put back as they were: a file has neither policies nor constraints that
-- the rows there need not meet.
SELECT NULL, NULL, NULL
 WHERE FALSE
