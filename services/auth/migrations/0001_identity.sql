-- Organisations, projects, users, keys, and what was done to keys. Every table says whose row it is.

CREATE TABLE organizations (
    organization_id text PRIMARY KEY CHECK (organization_id LIKE 'org-%'),
    name text NOT NULL,
    tier text NOT NULL DEFAULT 'free' CHECK (tier IN ('free', '1', '2', '3', '4', '5', 'local')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    project_id text PRIMARY KEY CHECK (project_id LIKE 'proj\_%'),
    organization_id text NOT NULL REFERENCES organizations,
    name text NOT NULL,
    moderation_policy text NOT NULL DEFAULT 'off' CHECK (moderation_policy IN ('off', 'advisory', 'required')),
    -- Empty: all models.
    allowed_models text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz,
    UNIQUE (organization_id, project_id)
);

-- What a project may use; unset is unlimited, and an empty model is each model on its own.
CREATE TABLE project_rate_limits (
    organization_id text NOT NULL,
    project_id text NOT NULL,
    model text NOT NULL DEFAULT '',
    requests_per_minute bigint CHECK (requests_per_minute >= 0),
    tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
    PRIMARY KEY (project_id, model),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id)
);

CREATE TABLE users (
    user_id text PRIMARY KEY CHECK (user_id LIKE 'user-%'),
    organization_id text NOT NULL REFERENCES organizations,
    -- A service account belongs to a project, a person to the organisation.
    project_id text,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'reader', 'service_account')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, user_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id),
    CHECK ((role = 'service_account') = (project_id IS NOT NULL))
);

CREATE TABLE keys (
    key_id text PRIMARY KEY CHECK (key_id LIKE 'key\_%'),
    organization_id text NOT NULL,
    project_id text NOT NULL,
    owner_id text NOT NULL,
    name text NOT NULL,
    -- HMAC-SHA-256 of the key's SHA-256 under the pepper of that id.
    hmac bytea NOT NULL UNIQUE CHECK (octet_length(hmac) = 32),
    pepper_id text NOT NULL,
    -- First and last characters, for people.
    redacted text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, project_id),
    FOREIGN KEY (organization_id, owner_id) REFERENCES users (organization_id, user_id)
);
CREATE INDEX keys_of_project ON keys (organization_id, project_id, created_at);

CREATE TABLE audit_log (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text NOT NULL REFERENCES organizations,
    project_id text NOT NULL,
    key_id text NOT NULL,
    action text NOT NULL CHECK (action IN ('key.created', 'key.revoked')),
    happened_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_of_organization ON audit_log (organization_id, entry_id);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log EXECUTE FUNCTION refuse();

-- What caches of principals must forget is told on the channel `auth_changes`, as `key:<id>` or `project:<id>`, with the
-- commit that changes it, whoever makes the change.
CREATE FUNCTION tell_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('auth_changes', 'key:' || OLD.key_id);
    RETURN NULL;
END $$;
CREATE TRIGGER key_changed
    AFTER DELETE OR UPDATE OF revoked_at, expires_at, scopes, owner_id, project_id ON keys
    FOR EACH ROW EXECUTE FUNCTION tell_key();

CREATE FUNCTION tell_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('auth_changes', 'project:' || coalesce(NEW.project_id, OLD.project_id));
    RETURN NULL;
END $$;
CREATE TRIGGER project_changed
    AFTER UPDATE OF archived_at, moderation_policy, allowed_models ON projects
    FOR EACH ROW EXECUTE FUNCTION tell_project();
CREATE TRIGGER project_limits_changed
    AFTER INSERT OR UPDATE OR DELETE ON project_rate_limits
    FOR EACH ROW EXECUTE FUNCTION tell_project();

CREATE FUNCTION tell_projects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('auth_changes', 'project:' || project_id)
        FROM auth.projects WHERE organization_id = NEW.organization_id;
    RETURN NULL;
END $$;
CREATE TRIGGER organization_changed
    AFTER UPDATE OF tier ON organizations
    FOR EACH ROW EXECUTE FUNCTION tell_projects();
