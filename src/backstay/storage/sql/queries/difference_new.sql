-- Return the staged items that a job lacks or has with other content. An edited item may be as it was in the input.
SELECT staged.id, inputs.line, stored.digest IS NOT NULL AS changed
  FROM {schema}.items AS staged
  LEFT JOIN {schema}.items AS stored ON stored.job_key = :job_key AND stored.id = staged.id
  LEFT JOIN {schema}.item_inputs AS inputs ON inputs.job_key = staged.job_key AND inputs.position = staged.position
 WHERE staged.job_key = :staged
   AND stored.digest IS DISTINCT FROM staged.digest
   AND stored.original_digest IS DISTINCT FROM staged.digest
 ORDER BY staged.position
