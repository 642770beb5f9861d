-- Append to a job the staged items that it lacks, with positions after its last item, without gaps.
INSERT INTO {schema}.items (job_key, position, owner, id, digest)
SELECT :job_key, :base + row_number() OVER (ORDER BY staged.position) - 1, staged.owner, staged.id, staged.digest
  FROM {schema}.items AS staged
 WHERE staged.job_key = :staged
   AND NOT EXISTS (SELECT 1 FROM {schema}.items AS stored WHERE stored.job_key = :job_key AND stored.id = staged.id)
