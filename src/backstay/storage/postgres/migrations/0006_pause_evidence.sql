-- What led a job to pause by itself: the attempts, the newest first, as JSON [[position, attempt], …].
ALTER TABLE {schema}.jobs ADD COLUMN pause_evidence text;
