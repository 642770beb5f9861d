-- Where this database is: its name and schema, and which cluster it is in.
SELECT pg_catalog.current_database() || ', schema {schema}',
       'cluster ' || (SELECT system_identifier FROM pg_catalog.pg_control_system())
