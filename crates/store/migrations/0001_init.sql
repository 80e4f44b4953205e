-- One text for both databases: columns are TEXT or BIGINT, time is microseconds since the epoch (UTC), JSON is
-- text. {key} stands for the database's own integer key that grows with every row.

CREATE TABLE workspaces (
    key {key},
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    key {key},
    id TEXT NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (key),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE agents (
    key {key},
    id TEXT NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (key),
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    archived_at BIGINT
);
CREATE INDEX agents_by_workspace ON agents (workspace_id, key);

CREATE TABLE agent_versions (
    key {key},
    workspace_id BIGINT NOT NULL,
    agent_key BIGINT NOT NULL REFERENCES agents (key),
    version BIGINT NOT NULL,
    config TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (agent_key, version)
);

CREATE TABLE environments (
    key {key},
    id TEXT NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (key),
    config TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);
CREATE INDEX environments_by_workspace ON environments (workspace_id, key);

-- status, usage and the times are a cache of the fold of the session's log; queued counts the events of the log
-- that no runner has taken. epoch is the fencing token: a runner's append carries the one it claimed.
CREATE TABLE sessions (
    key {key},
    id TEXT NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (key),
    agent_id TEXT NOT NULL,
    agent_version BIGINT NOT NULL,
    agent TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    title TEXT,
    metadata TEXT NOT NULL,
    status TEXT NOT NULL,
    usage TEXT NOT NULL,
    running_since BIGINT,
    head_seq BIGINT NOT NULL,
    queued BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT
);
CREATE INDEX sessions_by_workspace ON sessions (workspace_id, key);
CREATE INDEX sessions_by_agent ON sessions (agent_id, key);
CREATE INDEX sessions_by_environment ON sessions (environment_id);
CREATE INDEX sessions_with_work ON sessions (lease_until)
    WHERE queued > 0 OR status = 'running' OR status = 'rescheduling';

CREATE TABLE session_resources (
    key {key},
    id TEXT NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL,
    session_key BIGINT NOT NULL REFERENCES sessions (key),
    file_id TEXT NOT NULL,
    mount_path TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (session_key, mount_path)
);

-- The log, in append order. kind is 'wire' or 'private'; a queued event is known by queued = 1, and the private
-- record that takes it by taken_seq. thread is 0 for the primary thread.
CREATE TABLE log (
    key {key},
    workspace_id BIGINT NOT NULL,
    session_key BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    thread BIGINT NOT NULL,
    epoch BIGINT,
    actor TEXT NOT NULL,
    v BIGINT NOT NULL,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    queued BIGINT NOT NULL,
    taken_seq BIGINT,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (session_key, seq)
);
CREATE INDEX log_queued ON log (session_key, seq) WHERE queued = 1;
CREATE INDEX log_taken ON log (session_key, taken_seq) WHERE taken_seq IS NOT NULL;

-- Several files may share one blob: a session's copy of an upload is a row, not bytes.
CREATE TABLE files (
    key {key},
    id TEXT NOT NULL UNIQUE,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (key),
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    blob TEXT NOT NULL,
    downloadable BIGINT NOT NULL,
    session_id TEXT,
    output_path TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX files_by_workspace ON files (workspace_id, key);
CREATE INDEX files_by_session ON files (session_id, key) WHERE session_id IS NOT NULL;
CREATE INDEX files_by_blob ON files (blob);

-- Outputs that a client has deleted: the same bytes at the same path do not become a file again.
CREATE TABLE deleted_outputs (
    key {key},
    workspace_id BIGINT NOT NULL,
    session_id TEXT NOT NULL,
    output_path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    UNIQUE (session_id, output_path)
);
