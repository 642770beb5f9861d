-- Staged items that the job lacks, knows by their ids only, or has with other content.
SELECT staged.id, inputs.line, coalesce(stored.digest <> x'', FALSE) AS changed
  FROM items AS staged
  LEFT JOIN items AS stored ON stored.job_key = :job_key AND stored.id = staged.id
  LEFT JOIN item_inputs AS inputs ON inputs.job_key = staged.job_key AND inputs.position = staged.position
 WHERE staged.job_key = :staged
   AND stored.digest IS NOT staged.digest
 ORDER BY staged.position
