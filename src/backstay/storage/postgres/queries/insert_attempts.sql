-- Attempts that ended, with what they came to.
COPY {schema}.attempts (job_key, position, number, owner, worker, result, error_code, error_message, raw, tokens_in,
                        tokens_out, started_at, ended_at, traceback)
FROM STDIN {binary:bigint,bigint,integer,text,bigint,text,text,text,text,bigint,bigint,bigint,bigint,text}
