-- What a server needs, as the fourth migration of SQLite says it.

CREATE INDEX conversations_by_owner ON {schema}.conversations (owner, key);

CREATE TABLE {schema}.failures (
    sequence  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_key   bigint NOT NULL,
    owner     text COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    attempt   integer NOT NULL
);

CREATE INDEX failures_by_job ON {schema}.failures (job_key, sequence);

-- The numbers of one job come in the order of the commits: who has the lock keeps it to the end of the transaction, and
-- only then is the next number given. It is taken behind the locks of a worker and its items, and before a job's.
CREATE FUNCTION {schema}.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema} failures ' || NEW.job_key, 0));
    INSERT INTO {schema}.failures (job_key, owner, position, attempt)
    VALUES (NEW.job_key, NEW.owner, NEW.position, NEW.attempt);
    RETURN NULL;
END
$$;

CREATE TRIGGER item_failed AFTER UPDATE OF state ON {schema}.items
   FOR EACH ROW WHEN (NEW.state = 'failed' AND OLD.state <> 'failed')
       EXECUTE FUNCTION {schema}.note_failure();

CREATE TABLE {schema}.notes (
    kind        text COLLATE "C" NOT NULL,
    owner       text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    value       text NOT NULL,
    expires_at  bigint NOT NULL,
    PRIMARY KEY (kind, owner, name)
);

CREATE INDEX notes_by_expiry ON {schema}.notes (expires_at);
CREATE INDEX notes_by_name ON {schema}.notes (kind, name);
