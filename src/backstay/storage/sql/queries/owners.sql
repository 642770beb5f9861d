-- Return the owners whom scheduled tasks of the server concern: those with unfinished jobs or with backups that have
-- files.
SELECT owner FROM {schema}.jobs WHERE state IN ('pending', 'running', 'paused')
 UNION
SELECT owner FROM {schema}.backups WHERE removed_at IS NULL
 ORDER BY owner
