-- Create the side table of turns: each built-in column that the user table lacks, for the turns that have a value in one.
CREATE TABLE {{ schema }}.adopted_turns (
{% for name in turn_identity %}
    {{ name | quoted }} {{ turns.columns[name].cast }} NOT NULL,
{% endfor %}
{% for name in side_turn_columns %}
    backstay_{{ name }} text,
{% endfor %}
    PRIMARY KEY ({{ turn_identity | map("quoted") | join(", ") }})
);
