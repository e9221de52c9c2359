-- Gateways are told which requests were settled for others that died, so that those are not held as well.

create index usage_events_recovered on usage_events (organization_id, project_id, received_time)
    where outcome = 'recovered';

select wall_reach('budgets', 'select', 'usage_events');
