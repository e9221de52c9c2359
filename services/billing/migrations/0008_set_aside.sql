-- What waits for a person, or was closed by one, is nobody else's to charge: found by its request.

create index dead_letters_set_aside on dead_letters (request_id) where resolution is distinct from 'recorded';
select wall_reach('witness', 'select', 'dead_letters');

-- How far the clock of whoever sent it was ahead, so that it is recorded at the right time when it is tried again.
alter table dead_letters add column ahead interval not null default '0';

-- A threshold that was set in a month does not fire for the one before. Of those there are it is not known: long ago.
alter table spend_alerts add column set_time timestamptz not null default 'epoch';

-- A correction changes how much of a credit there is, not how much of it was used.
select wall_reach('budgets', 'select', 'corrections');
