-- The second wall between organisations (docs/decisions/0021): `wall` and the others are in chassis/wall.sql.

-- Every row says whose it is. What engines told before this is nobody's, and only reached across organisations.
alter table engine_usage add column organization_id text not null default '';
alter table invoice_lines add column organization_id text;
alter table invoice_corrections add column organization_id text;
alter table invoice_lines disable trigger append_only;
alter table invoice_corrections disable trigger append_only;
update invoice_lines as part set organization_id = whole.organization_id
    from invoices as whole where whole.invoice_id = part.invoice_id;
update invoice_corrections as part set organization_id = whole.organization_id
    from invoices as whole where whole.invoice_id = part.invoice_id;
alter table invoice_lines enable trigger append_only, alter column organization_id set not null;
alter table invoice_corrections enable trigger append_only, alter column organization_id set not null;
alter table invoices add unique (organization_id, invoice_id);
alter table corrections add unique (organization_id, correction_id);
alter table invoice_lines add foreign key (organization_id, invoice_id) references invoices (organization_id, invoice_id);
alter table invoice_corrections
    add foreign key (organization_id, invoice_id) references invoices (organization_id, invoice_id),
    add foreign key (organization_id, correction_id) references corrections (organization_id, correction_id);

-- A view reads with the rights of whoever reads it, not of whoever made it.
alter view engine_parts set (security_invoker = true);
alter view engine_requests set (security_invoker = true);

select wall('usage_events', 'ledger_entries', 'accounts', 'dead_letters', 'usage_minutes', 'usage_days', 'engine_usage',
    'spending', 'spend_limits', 'payment_terms', 'credit_grants', 'spend_alerts', 'alert_firings', 'corrections',
    'invoices', 'invoice_lines', 'invoice_corrections');
select wall_grant('select', 'price_versions', 'engine_parts', 'engine_requests');
select wall_grant('select, insert', 'usage_events', 'ledger_entries', 'engine_usage', 'credit_grants', 'corrections',
    'invoices', 'invoice_lines', 'invoice_corrections');
select wall_grant('select, insert, update', 'accounts', 'dead_letters', 'usage_minutes', 'usage_days', 'spending',
    'payment_terms');
select wall_grant('select, insert, update, delete', 'spend_limits', 'spend_alerts', 'alert_firings');

-- ingest: a batch is of many organisations. It records events with all that follows from them, and parks.
select wall_reach('ingest', 'select', 'usage_events', 'accounts', 'usage_minutes', 'usage_days', 'spending',
    'engine_usage', 'dead_letters');
select wall_reach('ingest', 'insert', 'usage_events', 'ledger_entries', 'accounts', 'usage_minutes', 'usage_days',
    'spending', 'dead_letters');
select wall_reach('ingest', 'update', 'accounts', 'usage_minutes', 'usage_days', 'spending');

-- parked: an operator's look at what could not be recorded; some of it names no organisation.
select wall_reach('parked', 'select', 'dead_letters');
select wall_reach('parked', 'update', 'dead_letters');

-- witness: engines tell of whatever they served; their word is compared with the events.
select wall_reach('witness', 'select', 'engine_usage', 'usage_events');
select wall_reach('witness', 'insert', 'engine_usage');

-- budgets: what gateways ask about all whom they serve, at once, and by a project's id alone.
select wall_reach('budgets', 'select', 'spend_limits', 'spending', 'credit_grants', 'payment_terms', 'accounts');

-- alerts: everybody's spending is held against everybody's thresholds.
select wall_reach('alerts', 'select', 'spend_alerts', 'spend_limits', 'spending', 'alert_firings');
select wall_reach('alerts', 'insert', 'alert_firings');
select wall_reach('alerts', 'update', 'alert_firings');

-- verify: reads all the books, and changes nothing.
select wall_reach('verify', 'select', 'usage_events', 'ledger_entries', 'accounts', 'dead_letters', 'usage_minutes',
    'usage_days', 'engine_usage', 'spending', 'spend_limits', 'payment_terms', 'credit_grants', 'spend_alerts',
    'alert_firings', 'corrections', 'invoices', 'invoice_lines', 'invoice_corrections');
