-- Return the tables on which our role lacks a privilege that a restore needs, each with the statement that grants it.
  WITH needed (name, relation, privilege) AS ({rows:text,text,text})
SELECT name, format('GRANT %s ON %s TO %I', string_agg(DISTINCT privilege, ', '), relation, current_user)
  FROM needed
 WHERE NOT pg_catalog.has_table_privilege(relation::regclass, privilege)
 GROUP BY name, relation
