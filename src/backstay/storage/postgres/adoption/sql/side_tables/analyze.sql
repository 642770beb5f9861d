-- Collect statistics, without which the planner would choose badly right after the side table was filled.
ANALYZE {{ schema }}.adopted_conversations
