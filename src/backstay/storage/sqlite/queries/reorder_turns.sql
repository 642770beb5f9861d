-- Move turns that are not numbered: there are none in a file.
WITH moved (old_sequence, new_sequence) AS ({rows:integer,integer})
SELECT 1 FROM moved WHERE FALSE
