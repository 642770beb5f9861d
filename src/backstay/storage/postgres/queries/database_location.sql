-- Where this database is: its name and schema, and which cluster it is in.
SELECT current_database() || ', schema {schema}',
       'cluster ' || (SELECT system_identifier FROM pg_control_system())
