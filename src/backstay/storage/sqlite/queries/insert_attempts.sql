-- Attempts that ended, with what they came to.
INSERT INTO attempts (job_key, position, number, owner, worker, result, error_code, error_message, raw, tokens_in,
                      tokens_out, started_at, ended_at, traceback)
VALUES {rows:14}
