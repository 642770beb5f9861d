-- A folder says where a backup's file is only together with the machine that it is on.

ALTER TABLE backups ADD COLUMN host TEXT;            -- NULL: made before this was noted
