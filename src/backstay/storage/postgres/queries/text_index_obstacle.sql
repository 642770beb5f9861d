-- Return why there can be no text index; NULL if there can be one. From version 13 on, who may create in a database may
-- create this extension.
SELECT CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN NULL
            WHEN NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')
            THEN 'this server does not have the extension pg_trgm, which is in PostgreSQL''s contrib package'
            WHEN NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
            THEN 'the role may not create extensions; the owner of the database can, with: CREATE EXTENSION pg_trgm'
       END
