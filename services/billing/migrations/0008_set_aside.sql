-- What waits for a person, or was closed by one, is nobody else's to charge: found by its request. By hash, because what
-- is parked may have ids of any length.

create index dead_letters_set_aside on dead_letters using hash (request_id) where resolution is distinct from 'recorded';
drop index dead_letters_open;
create index dead_letters_open on dead_letters using hash (organization_id) where resolved_time is null;
select wall_reach('witness', 'select', 'dead_letters');
-- ingest: what is recorded after all waits for nobody any more.
select wall_reach('ingest', 'update', 'dead_letters');

-- How far the clock of whoever sent it was ahead, so that it is recorded at the right time when it is tried again.
alter table dead_letters add column ahead interval not null default '0';

-- A threshold that was set in a month does not fire for the one before. Of those there are it is not known when.
alter table spend_alerts add column set_time timestamptz not null default now();

-- What was taken back of a credit's use is credit again.
select wall_reach('budgets', 'select', 'corrections');
