-- What led a job to pause by itself: the attempts, the newest first, as JSON [[position, attempt], …].
ALTER TABLE jobs ADD COLUMN pause_evidence TEXT;
