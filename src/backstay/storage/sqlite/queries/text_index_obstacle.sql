-- Return why there can be no text index; NULL if there can be one.
SELECT CASE WHEN NOT sqlite_compileoption_used('ENABLE_FTS5')
            THEN 'this SQLite has no FTS5; install another with `pip install -U apsw`'
       END
