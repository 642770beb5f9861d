-- Return the name, the schema and the cluster of this database.
SELECT pg_catalog.current_database() || ', schema {schema}',
       'cluster ' || (SELECT system_identifier FROM pg_catalog.pg_control_system())
