-- Who has anything that the server looks after by itself: unfinished jobs, or backups whose files are there.
SELECT owner FROM {schema}.jobs WHERE state IN ('pending', 'running', 'paused')
 UNION
SELECT owner FROM {schema}.backups WHERE removed_at IS NULL
 ORDER BY owner
