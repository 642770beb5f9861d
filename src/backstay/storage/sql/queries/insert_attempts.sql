-- Insert ended attempts with their results.
INSERT INTO {schema}.attempts (job_key, position, number, owner, worker, result, error_code, error_message, raw, tokens_in,
                      tokens_out, started_at, ended_at, traceback)
{rows:bigint,bigint,integer,text,bigint,text,text,text,text,bigint,bigint,bigint,bigint,text}
