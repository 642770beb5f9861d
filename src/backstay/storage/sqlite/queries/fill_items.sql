-- … and are told by its content from then on.
UPDATE items
   SET digest = staged.digest
  FROM items AS staged
 WHERE items.job_key = :job_key
   AND items.digest = x''
   AND staged.job_key = :staged
   AND staged.id = items.id
