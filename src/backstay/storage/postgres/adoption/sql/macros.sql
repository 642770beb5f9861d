-- Lists and comparisons of columns that several templates write.
{% macro columns(names, row) -%}
    {% for name in names %}{{ row }}.{{ name | quoted }}{{ ", " if not loop.last }}{% endfor %}
{%- endmacro %}

{% macro equal(names, left, right) -%}
    {% for name in names %}
        {{- left }}.{{ name | quoted }} = {{ right }}.{{ name | quoted }}{{ " AND " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

-- Like `equal`, with a row whose columns have the aliases key_0, key_1, …
{% macro equal_keys(names, left, right) -%}
    {% for name in names %}
        {{- left }}.{{ name | quoted }} = {{ right }}.key_{{ loop.index0 }}{{ " AND " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

-- Whether a row of the user table is the view's OLD row; `old_names` are the columns' names in the view.
{% macro is_old(names, old_names) -%}
    {% for name in names %}
        {{- "app" }}.{{ name | quoted }} = OLD.{{ old_names[name] | quoted }}{{ " AND " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro changed(names) -%}
    {% for name in names %}
        {{- "NEW" }}.{{ name | quoted }} IS DISTINCT FROM OLD.{{ name | quoted }}{{ " OR " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

-- What an UPDATE sets: pairs of a column and an expression.
{% macro assigned(assignments) -%}
    {% for column, value in assignments %}
        {{- column | quoted }} = {{ value }}{{ ",\n           " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

-- Let an UPDATE replace a value that the view cannot show, such as null for a text: it sets the shown column only.
{% macro forget_originals(originals) -%}
    {% for name, original in originals.items() %}
    IF NEW.{{ name | quoted }} IS DISTINCT FROM OLD.{{ name | quoted }}
       AND NEW.{{ original | quoted }} IS NOT DISTINCT FROM OLD.{{ original | quoted }} THEN
        NEW.{{ original | quoted }} := NULL;
    END IF;
    {% endfor %}
{%- endmacro %}
