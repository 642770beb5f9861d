-- Drop the triggers on the user tables, the functions that they call, and the view that these read.
DROP VIEW IF EXISTS {{ schema }}.adopted_rows;
DO {% filter dollar_quoted %}
DECLARE
    trigger  record;
    function_name   regprocedure;
BEGIN
    FOR trigger IN
        SELECT tgname, tgrelid::regclass AS user_table
          FROM pg_trigger
          JOIN pg_proc ON pg_proc.oid = tgfoid
         WHERE pronamespace = '{{ schema }}'::regnamespace
           AND starts_with(proname, 'adopted_')
    LOOP
        EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', trigger.tgname, trigger.user_table);
    END LOOP;
    FOR function_name IN
        SELECT pg_proc.oid
          FROM pg_proc
         WHERE pronamespace = '{{ schema }}'::regnamespace
           AND starts_with(proname, 'adopted_')
    LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', function_name);
    END LOOP;
END
{% endfilter %};
