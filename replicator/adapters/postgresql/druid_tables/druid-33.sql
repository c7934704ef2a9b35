-- The tables as Druid 33.0.0 creates them on PostgreSQL, unqualified: the search_path says where.

CREATE TABLE druid_audit (
    id bigserial PRIMARY KEY,
    audit_key varchar(255) NOT NULL,
    type varchar(255) NOT NULL,
    author varchar(255) NOT NULL,
    comment varchar(2048) NOT NULL,
    created_date varchar(255) NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX idx_druid_audit_audit_time ON druid_audit (created_date);
CREATE INDEX idx_druid_audit_key_time ON druid_audit (audit_key, created_date);
CREATE INDEX idx_druid_audit_type_time ON druid_audit (type, created_date);

CREATE TABLE druid_config (
    name varchar(255) PRIMARY KEY,
    payload bytea NOT NULL
);

CREATE TABLE druid_datasource (
    datasource varchar(255) PRIMARY KEY,
    created_date varchar(255) NOT NULL,
    commit_metadata_payload bytea NOT NULL,
    commit_metadata_sha1 varchar(255) NOT NULL
);

CREATE TABLE druid_pendingsegments (
    id varchar(255) PRIMARY KEY,
    datasource varchar(255) NOT NULL,
    created_date varchar(255) NOT NULL,
    start varchar(255) NOT NULL,
    "end" varchar(255) NOT NULL,
    sequence_name varchar(255) NOT NULL,
    sequence_prev_id varchar(255) NOT NULL,
    sequence_name_prev_id_sha1 varchar(255) NOT NULL UNIQUE,
    payload bytea NOT NULL,
    upgraded_from_segment_id varchar(255),
    task_allocator_id varchar(255)
);
CREATE INDEX idx_druid_pendingsegments_datasource_end ON druid_pendingsegments (datasource, "end");
CREATE INDEX idx_druid_pendingsegments_datasource_sequence ON druid_pendingsegments (datasource, sequence_name);
CREATE INDEX idx_druid_pendingsegments_datasource_task_allocator_id ON druid_pendingsegments (datasource, task_allocator_id);

CREATE TABLE druid_rules (
    id varchar(255) PRIMARY KEY,
    datasource varchar(255) NOT NULL,
    version varchar(255) NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX idx_druid_rules_datasource ON druid_rules (datasource);

CREATE TABLE druid_segments (
    id varchar(255) PRIMARY KEY,
    datasource varchar(255) NOT NULL,
    created_date varchar(255) NOT NULL,
    start varchar(255) NOT NULL,
    "end" varchar(255) NOT NULL,
    partitioned boolean NOT NULL,
    version varchar(255) NOT NULL,
    used boolean NOT NULL,
    payload bytea NOT NULL,
    used_status_last_updated varchar(255) NOT NULL,
    upgraded_from_segment_id varchar(255)
);
CREATE INDEX idx_druid_segments_datasource_upgraded_from_segment_id ON druid_segments (datasource, upgraded_from_segment_id);
CREATE INDEX idx_druid_segments_datasource_used_end_start ON druid_segments (datasource, used, "end", start);
CREATE INDEX idx_druid_segments_used ON druid_segments (used);

CREATE TABLE druid_supervisors (
    id bigserial PRIMARY KEY,
    spec_id varchar(255) NOT NULL,
    created_date varchar(255) NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX idx_druid_supervisors_spec_id ON druid_supervisors (spec_id);

CREATE TABLE druid_tasklocks (
    id bigserial PRIMARY KEY,
    task_id varchar(255) DEFAULT NULL,
    lock_payload bytea
);
CREATE INDEX idx_druid_tasklocks_task_id ON druid_tasklocks (task_id);

CREATE TABLE druid_tasks (
    id varchar(255) PRIMARY KEY,
    created_date varchar(255) NOT NULL,
    datasource varchar(255) NOT NULL,
    payload bytea NOT NULL,
    status_payload bytea NOT NULL,
    active boolean DEFAULT false NOT NULL,
    type varchar(255),
    group_id varchar(255)
);
CREATE INDEX idx_druid_tasks_active_created_date ON druid_tasks (active, created_date);
CREATE INDEX idx_druid_tasks_datasource_active ON druid_tasks (datasource, active);

CREATE TABLE druid_upgradesegments (
    id bigserial PRIMARY KEY,
    task_id varchar(255) NOT NULL,
    segment_id varchar(255) NOT NULL,
    lock_version varchar(255) NOT NULL
);
CREATE INDEX idx_druid_upgradesegments_task ON druid_upgradesegments (task_id);
