-- What is known about files. A file is named by its tenant and its id together: the same id in two projects is two
-- files, so that nobody learns from a conflict what another has.
create table files (
    organization_id text        not null,
    project_id      text        not null,
    file_id         text        not null,
    filename        text        not null,
    purpose         text        not null
        check (purpose in ('assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals')),
    size_bytes      bigint      not null check (size_bytes >= 0),
    create_time     timestamptz not null,
    expire_time     timestamptz,
    primary key (organization_id, project_id, file_id)
);
create index files_by_creation on files (organization_id, project_id, create_time, file_id);
create index files_by_expiry on files (expire_time) where expire_time is not null;
