-- The second wall between organisations (docs/decisions/0021): `wall` and the others are in chassis/wall.sql.
select wall('files', 'stored');
select wall_grant('select, insert, update, delete', 'files', 'stored');

-- What has expired is removed, whosesoever it is. Locking a row takes the right to update it.
select wall_reach('expiry', command, 'files', 'stored')
from unnest(array['select', 'update', 'delete']) as command;
