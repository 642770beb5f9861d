-- Drop the views, and the functions that their triggers call.
DROP VIEW IF EXISTS {{ schema }}.turns, {{ schema }}.conversations;
DO {% filter dollar_quoted %}
DECLARE
    function_name  regprocedure;
BEGIN
    FOR function_name IN
        SELECT pg_proc.oid
          FROM pg_proc
         WHERE pronamespace = '{{ schema }}'::regnamespace
           AND proname ~ '^adopted_(conversations|turns)_(insert|update|delete)$'
    LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', function_name);
    END LOOP;
END
{% endfilter %};
