-- Copy the digests of staged items to those items of the job of which only the id was known.
UPDATE {schema}.items
   SET digest = staged.digest
  FROM {schema}.items AS staged
 WHERE items.job_key = :job_key
   AND octet_length(items.digest) = 0
   AND staged.job_key = :staged
   AND staged.id = items.id
