-- Count the turns that share their place in the order with another turn of their conversation.
SELECT coalesce(sum(number), 0)::bigint
  FROM (SELECT count(*)
          FROM {{ turns.quoted_name }} AS app
         WHERE app.{{ parent | quoted }} IS NOT NULL
         GROUP BY app.{{ parent | quoted }}, app.{{ order | quoted }}
        HAVING count(*) > 1) AS shared (number)
