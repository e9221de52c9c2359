-- What the administration needs: people with addresses, memberships, groups, roles, invites, restricted keys, keys of the
-- administration, all limits, a log of every change; and a second wall between organisations in the database itself.

-- People and service accounts. Neither is ever removed, as keys and the audit log go on naming them.
ALTER TABLE users
    ADD COLUMN email text CHECK (length(email) <= 254),
    -- What a service account is in its project.
    ADD COLUMN project_role text CHECK (project_role IN ('owner', 'member', 'none')),
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN deleted_at timestamptz;
UPDATE users SET project_role = 'member' WHERE role = 'service_account';
ALTER TABLE users ADD CHECK ((role = 'service_account') = (project_role IS NOT NULL));
CREATE UNIQUE INDEX users_by_address ON users (organization_id, lower(email)) WHERE deleted_at IS NULL;

CREATE TABLE project_members (
    organization_id text NOT NULL,
    project_id text NOT NULL,
    user_id text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'member')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, project_id, user_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, user_id)
);
CREATE INDEX memberships_of_user ON project_members (organization_id, user_id);

-- Which models a project may use: an allow list is in `allowed_models`, a deny list in `denied_models`.
ALTER TABLE projects
    ADD COLUMN denied_models text[] NOT NULL DEFAULT '{}',
    ADD COLUMN denies_models boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT denies_models OR allowed_models = '{}'),
    ADD CHECK (denies_models OR denied_models = '{}');

ALTER TABLE keys
    -- A key of the administration belongs to no project.
    ALTER COLUMN project_id DROP NOT NULL,
    ADD COLUMN kind text NOT NULL DEFAULT 'user' CHECK (kind IN ('user', 'service_account', 'admin')),
    -- Empty: all that the project may use.
    ADD COLUMN allowed_models text[] NOT NULL DEFAULT '{}',
    -- Networks; empty: from everywhere.
    ADD COLUMN allowed_ips text[] NOT NULL DEFAULT '{}',
    -- May administer organisations.
    ADD COLUMN operator boolean NOT NULL DEFAULT false,
    ADD CHECK ((kind = 'admin') = (project_id IS NULL)),
    ADD CHECK (kind = 'admin' OR NOT operator),
    ADD UNIQUE (organization_id, key_id);
CREATE INDEX keys_of_owner ON keys (organization_id, owner_id) WHERE revoked_at IS NULL;

-- Limits of projects, of organisations where they replace their tier's, and of keys.
ALTER TABLE project_rate_limits
    DROP CONSTRAINT project_rate_limits_pkey,
    ADD PRIMARY KEY (organization_id, project_id, model),
    ADD COLUMN requests_per_day bigint CHECK (requests_per_day >= 0),
    ADD COLUMN tokens_per_day bigint CHECK (tokens_per_day >= 0),
    ADD COLUMN concurrent_requests bigint CHECK (concurrent_requests >= 0),
    ADD COLUMN batch_day_max_input_tokens bigint CHECK (batch_day_max_input_tokens >= 0),
    ADD COLUMN shadow boolean NOT NULL DEFAULT false,
    ADD COLUMN failure_mode text NOT NULL DEFAULT 'local' CHECK (failure_mode IN ('open', 'local', 'closed')),
    ADD COLUMN burst_percent integer NOT NULL DEFAULT 100 CHECK (burst_percent BETWEEN 1 AND 100),
    ADD COLUMN count_rejected boolean NOT NULL DEFAULT true;

CREATE TABLE organization_rate_limits (
    organization_id text NOT NULL REFERENCES organizations,
    model text NOT NULL DEFAULT '',
    requests_per_minute bigint CHECK (requests_per_minute >= 0),
    tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
    requests_per_day bigint CHECK (requests_per_day >= 0),
    tokens_per_day bigint CHECK (tokens_per_day >= 0),
    concurrent_requests bigint CHECK (concurrent_requests >= 0),
    batch_day_max_input_tokens bigint CHECK (batch_day_max_input_tokens >= 0),
    shadow boolean NOT NULL DEFAULT false,
    failure_mode text NOT NULL DEFAULT 'local' CHECK (failure_mode IN ('open', 'local', 'closed')),
    burst_percent integer NOT NULL DEFAULT 100 CHECK (burst_percent BETWEEN 1 AND 100),
    count_rejected boolean NOT NULL DEFAULT true,
    PRIMARY KEY (organization_id, model)
);

CREATE TABLE key_rate_limits (
    organization_id text NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL DEFAULT '',
    requests_per_minute bigint CHECK (requests_per_minute >= 0),
    tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
    requests_per_day bigint CHECK (requests_per_day >= 0),
    tokens_per_day bigint CHECK (tokens_per_day >= 0),
    concurrent_requests bigint CHECK (concurrent_requests >= 0),
    shadow boolean NOT NULL DEFAULT false,
    failure_mode text NOT NULL DEFAULT 'local' CHECK (failure_mode IN ('open', 'local', 'closed')),
    burst_percent integer NOT NULL DEFAULT 100 CHECK (burst_percent BETWEEN 1 AND 100),
    count_rejected boolean NOT NULL DEFAULT true,
    PRIMARY KEY (organization_id, key_id, model),
    FOREIGN KEY (organization_id, key_id) REFERENCES keys (organization_id, key_id)
);

CREATE TABLE invites (
    organization_id text NOT NULL REFERENCES organizations,
    invite_id text NOT NULL CHECK (invite_id LIKE 'invite-%'),
    email text NOT NULL CHECK (length(email) <= 254),
    role text NOT NULL CHECK (role IN ('owner', 'reader')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    -- Who they became.
    user_id text,
    PRIMARY KEY (organization_id, invite_id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, user_id),
    CHECK ((accepted_at IS NULL) = (user_id IS NULL))
);

CREATE TABLE invite_projects (
    organization_id text NOT NULL,
    invite_id text NOT NULL,
    project_id text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'member')),
    PRIMARY KEY (organization_id, invite_id, project_id),
    FOREIGN KEY (organization_id, invite_id) REFERENCES invites (organization_id, invite_id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id)
);

CREATE TABLE groups (
    organization_id text NOT NULL REFERENCES organizations,
    group_id text NOT NULL CHECK (group_id LIKE 'group\_%'),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, group_id)
);

CREATE TABLE group_members (
    organization_id text NOT NULL,
    group_id text NOT NULL,
    user_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, group_id, user_id),
    FOREIGN KEY (organization_id, group_id) REFERENCES groups (organization_id, group_id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, user_id)
);
CREATE INDEX groups_of_user ON group_members (organization_id, user_id);

-- What a predefined role may do stands in services/auth/permissions.py, so that a release can change it; every
-- organisation has a row for each, so that what refers to a role refers to a row.
CREATE TABLE roles (
    organization_id text NOT NULL REFERENCES organizations,
    role_id text NOT NULL CHECK (role_id LIKE 'role-%'),
    -- Unset: a role of the organisation, or a predefined one of every project.
    project_id text,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    permissions text[] NOT NULL DEFAULT '{}',
    resource_type text NOT NULL CHECK (resource_type IN ('api.organization', 'api.project')),
    predefined boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, role_id),
    UNIQUE NULLS NOT DISTINCT (organization_id, project_id, resource_type, name),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id),
    CHECK (predefined OR (resource_type = 'api.project') = (project_id IS NOT NULL))
);

CREATE TABLE project_groups (
    organization_id text NOT NULL,
    project_id text NOT NULL,
    group_id text NOT NULL,
    role_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, project_id, group_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id),
    FOREIGN KEY (organization_id, group_id) REFERENCES groups (organization_id, group_id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, role_id) REFERENCES roles (organization_id, role_id) ON DELETE CASCADE
);

CREATE TABLE role_assignments (
    organization_id text NOT NULL,
    role_id text NOT NULL,
    -- Unset: in the organisation as a whole.
    project_id text,
    user_id text,
    group_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (organization_id, role_id, project_id, user_id, group_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES roles (organization_id, role_id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id),
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, user_id),
    FOREIGN KEY (organization_id, group_id) REFERENCES groups (organization_id, group_id) ON DELETE CASCADE,
    CHECK ((user_id IS NULL) <> (group_id IS NULL))
);
CREATE INDEX assignments_of_user ON role_assignments (organization_id, user_id);
CREATE INDEX assignments_of_group ON role_assignments (organization_id, group_id);

CREATE FUNCTION predefine(organization text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO auth.roles (organization_id, role_id, name, description, resource_type, predefined) VALUES
        (organization, 'role-organization-owner', 'owner', 'May do everything.', 'api.organization', true),
        (organization, 'role-organization-reader', 'reader', 'Sees everything and changes nothing.',
         'api.organization', true),
        (organization, 'role-project-owner', 'owner', 'May do everything in the project.', 'api.project', true),
        (organization, 'role-project-member', 'member', 'Uses the project.', 'api.project', true)
$$;
SELECT predefine(organization_id) FROM organizations;
CREATE FUNCTION predefine_roles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM auth.predefine(NEW.organization_id);
    RETURN NULL;
END $$;
CREATE TRIGGER organization_made AFTER INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION predefine_roles();

-- What each user was granted: names of permissions, and for predefined roles the name of the role. Without a project it
-- holds in all of them.
CREATE VIEW grants WITH (security_invoker = true) AS
    SELECT organization_id, user_id, NULL::text AS project_id, 'role-organization-' || role AS word
    FROM users WHERE role <> 'service_account'
    UNION ALL
    SELECT organization_id, user_id, project_id, 'role-project-' || project_role
    FROM users WHERE project_role IN ('owner', 'member')
    UNION ALL
    SELECT organization_id, user_id, project_id, 'role-project-' || role FROM project_members
    UNION ALL
    SELECT a.organization_id, a.user_id, a.project_id,
           unnest(CASE WHEN r.predefined THEN ARRAY[r.role_id] ELSE r.permissions END)
    FROM role_assignments a JOIN roles r USING (organization_id, role_id)
    WHERE a.user_id IS NOT NULL
    UNION ALL
    SELECT a.organization_id, m.user_id, a.project_id,
           unnest(CASE WHEN r.predefined THEN ARRAY[r.role_id] ELSE r.permissions END)
    FROM role_assignments a
    JOIN group_members m USING (organization_id, group_id)
    JOIN roles r USING (organization_id, role_id)
    UNION ALL
    SELECT g.organization_id, m.user_id, g.project_id,
           unnest(CASE WHEN r.predefined THEN ARRAY[r.role_id] ELSE r.permissions END)
    FROM project_groups g
    JOIN group_members m USING (organization_id, group_id)
    JOIN roles r USING (organization_id, role_id);

-- The audit log: every change, who made it and from where, in the words of OpenAI's API. Its rows may not be changed;
-- a new type of a column rewrites them all the same, and these three changes lose nothing.
ALTER TABLE audit_log
    DROP CONSTRAINT audit_log_action_check,
    ALTER COLUMN project_id DROP NOT NULL,
    ALTER COLUMN key_id DROP NOT NULL,
    ALTER COLUMN action TYPE text
        USING CASE action WHEN 'key.created' THEN 'api_key.created' WHEN 'key.revoked' THEN 'api_key.deleted' END,
    ALTER COLUMN key_id TYPE text[] USING ARRAY[key_id],
    ADD COLUMN audit_id text NOT NULL DEFAULT 'audit_log-' || replace(gen_random_uuid()::text, '-', ''),
    -- The key that was presented and its owner; unset: the installation itself.
    ADD COLUMN actor_key_id text,
    ADD COLUMN actor_id text,
    ADD COLUMN ip_address text NOT NULL DEFAULT '',
    ADD COLUMN request_id text NOT NULL DEFAULT '',
    ADD COLUMN details jsonb NOT NULL DEFAULT '{}';
ALTER TABLE audit_log RENAME COLUMN key_id TO object_ids;
ALTER TABLE audit_log ALTER COLUMN object_ids SET NOT NULL;
CREATE UNIQUE INDEX audit_log_by_id ON audit_log (organization_id, audit_id COLLATE "C");

-- What caches of principals must forget: see 0001. Whatever changes what an owner may do is told as the owner's keys.
DROP TRIGGER key_changed ON keys;
CREATE TRIGGER key_changed
    AFTER DELETE OR UPDATE OF revoked_at, expires_at, scopes, owner_id, project_id, kind, allowed_models, allowed_ips,
        operator ON keys
    FOR EACH ROW EXECUTE FUNCTION tell_key();
DROP TRIGGER project_changed ON projects;
CREATE TRIGGER project_changed
    AFTER UPDATE OF archived_at, moderation_policy, allowed_models, denied_models ON projects
    FOR EACH ROW EXECUTE FUNCTION tell_project();

CREATE FUNCTION tell_limited_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('auth_changes', 'key:' || coalesce(NEW.key_id, OLD.key_id));
    RETURN NULL;
END $$;
CREATE TRIGGER key_limits_changed
    AFTER INSERT OR UPDATE OR DELETE ON key_rate_limits
    FOR EACH ROW EXECUTE FUNCTION tell_limited_key();

CREATE FUNCTION tell_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('auth_changes', 'key:' || key_id) FROM auth.keys
        WHERE organization_id = coalesce(NEW.organization_id, OLD.organization_id)
          AND owner_id = coalesce(NEW.user_id, OLD.user_id) AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER user_changed
    AFTER UPDATE OF role, project_role, project_id, disabled_at, deleted_at ON users
    FOR EACH ROW EXECUTE FUNCTION tell_owner();
CREATE TRIGGER membership_changed
    AFTER INSERT OR UPDATE OR DELETE ON project_members FOR EACH ROW EXECUTE FUNCTION tell_owner();
CREATE TRIGGER group_membership_changed
    AFTER INSERT OR UPDATE OR DELETE ON group_members FOR EACH ROW EXECUTE FUNCTION tell_owner();

-- Rare, and whom it concerns takes many tables to say: the whole organisation is told.
CREATE OR REPLACE FUNCTION tell_projects() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := coalesce(NEW.organization_id, OLD.organization_id);
BEGIN
    PERFORM pg_notify('auth_changes', 'project:' || project_id) FROM auth.projects WHERE organization_id = changed;
    PERFORM pg_notify('auth_changes', 'key:' || key_id) FROM auth.keys
        WHERE organization_id = changed AND kind = 'admin' AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER organization_limits_changed
    AFTER INSERT OR UPDATE OR DELETE ON organization_rate_limits
    FOR EACH ROW EXECUTE FUNCTION tell_projects();
CREATE TRIGGER role_changed
    AFTER UPDATE OF permissions OR DELETE ON roles FOR EACH ROW EXECUTE FUNCTION tell_projects();
CREATE TRIGGER assignment_changed
    AFTER INSERT OR UPDATE OR DELETE ON role_assignments FOR EACH ROW EXECUTE FUNCTION tell_projects();
CREATE TRIGGER project_group_changed
    AFTER INSERT OR UPDATE OR DELETE ON project_groups FOR EACH ROW EXECUTE FUNCTION tell_projects();

-- The second wall (docs/decisions/0021): a statement sees the rows of the organisation that its transaction entered and
-- no other, whatever it says. It binds the tables' owner too. A superuser, or a role with BYPASSRLS, would pass it, so
-- `enter` leaves such a role for `capstan_auth`, which is neither. Where that role cannot be made, because whoever
-- migrates may not make roles, they are not a superuser either.
DO $$
BEGIN
    CREATE ROLE capstan_auth NOLOGIN;
    EXECUTE format('GRANT capstan_auth TO %I', current_user);
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
    NULL;
END $$;

CREATE FUNCTION enter(organization text, reach text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('capstan.organization_id', organization, true);
    PERFORM set_config('capstan.reach', reach, true);
    IF (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        PERFORM set_config('role', 'capstan_auth', true);
    END IF;
END $$;

DO $$
DECLARE
    walled text;
BEGIN
    FOR walled IN
        SELECT relname FROM pg_catalog.pg_class
        WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations'
    LOOP
        EXECUTE format('ALTER TABLE auth.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', walled);
        EXECUTE format($policy$
            CREATE POLICY own ON auth.%I
                USING (organization_id = current_setting('capstan.organization_id', true))
                WITH CHECK (organization_id = current_setting('capstan.organization_id', true))
            $policy$, walled);
    END LOOP;
    -- The lookup of keys by their hash serves every organisation at once: it reads what makes a principal, and writes
    -- of keys alone.
    FOREACH walled IN ARRAY ARRAY['organizations', 'projects', 'users', 'keys', 'project_members', 'groups',
        'group_members', 'project_groups', 'roles', 'role_assignments', 'project_rate_limits', 'key_rate_limits',
        'organization_rate_limits']
    LOOP
        EXECUTE format('CREATE POLICY lookup ON auth.%I FOR SELECT USING (current_setting(''capstan.reach'', true) = ''lookup'')', walled);
    END LOOP;
    CREATE POLICY lookup_writes ON auth.keys FOR UPDATE USING (current_setting('capstan.reach', true) = 'lookup');
    -- Whoever operates the installation sees which organisations there are.
    CREATE POLICY operator ON auth.organizations FOR SELECT USING (current_setting('capstan.reach', true) = 'operator');

    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'capstan_auth') THEN
        GRANT USAGE ON SCHEMA auth TO capstan_auth;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA auth TO capstan_auth;
        REVOKE ALL ON auth.schema_migrations FROM capstan_auth;
        REVOKE DELETE ON auth.organizations, auth.projects, auth.users, auth.keys FROM capstan_auth;
        REVOKE UPDATE, DELETE ON auth.audit_log FROM capstan_auth;
        REVOKE INSERT, UPDATE, DELETE ON auth.grants FROM capstan_auth;
    END IF;
END $$;
