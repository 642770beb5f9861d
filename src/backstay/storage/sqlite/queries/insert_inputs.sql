-- What each item was given.
INSERT INTO item_inputs (job_key, position, owner, topic, persona, parameters, line)
VALUES {rows:7}
