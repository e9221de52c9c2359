-- Half of chassis/tenancy.py, which says why. `migrate` defines these functions in a schema before it applies anything,
-- so that migrations put a table behind the wall in one line. Entering a transaction is the other half.

-- Whom a login that policies do not bind continues as. Where it cannot be made, because whoever migrates may not make
-- roles, they are not a superuser either.
create or replace function wall_role() returns text language plpgsql as $$
declare
    role text := 'capstan_' || current_schema();
begin
    begin
        execute format('create role %I nologin', role);
        execute format('grant %I to %I', role, current_user);
    exception when duplicate_object or unique_violation or insufficient_privilege then
        null;
    end;
    if not exists (select from pg_catalog.pg_roles where rolname = role) then
        return null;
    end if;
    execute format('grant usage on schema %I to %I', current_schema(), role);
    return role;
end $$;

-- Let the schema's role do `privileges` to a table or view, and nothing else.
create or replace function wall_grant(privileges text, variadic relations regclass[]) returns void language plpgsql as $$
declare
    role text := wall_role();
    relation regclass;
begin
    if role is not null then
        foreach relation in array relations loop
            execute format('revoke all on %s from %I', relation, role);
            execute format('grant %s on %s to %I', privileges, relation, role);
        end loop;
    end if;
end $$;

-- Put tables behind the wall: a statement sees the rows of the organisation that its transaction entered, whatever it
-- says, and nothing where none was entered. It binds the tables' owner too; migrations alone see all rows, so that one
-- that rewrites them does.
create or replace function wall(variadic tables regclass[]) returns void language plpgsql as $$
declare
    walled regclass;
begin
    foreach walled in array tables loop
        execute format('alter table %s enable row level security, force row level security', walled);
        execute format($policy$
            create policy own on %s
                using (organization_id = nullif(current_setting('capstan.organization_id', true), ''))
            $policy$, walled);
        execute format(
            'create policy migration on %s using (current_setting(''capstan.reach'', true) = ''migration'')', walled);
    end loop;
end $$;

-- Let a reach do one `command` (select, insert, update, delete) to the tables, whosesoever the rows are.
create or replace function wall_reach(reach text, command text, variadic tables regclass[]) returns void
language plpgsql as $$
declare
    opened regclass;
begin
    foreach opened in array tables loop
        execute format('create policy %I on %s for %s %s (current_setting(''capstan.reach'', true) = %L)',
            reach || '_' || command, opened, command, case command when 'insert' then 'with check' else 'using' end,
            reach);
    end loop;
end $$;
