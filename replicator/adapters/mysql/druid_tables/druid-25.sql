-- The tables of Druid 25 on MySQL and MariaDB:
-- those of ../../postgresql/druid_tables in the types and the spelling of Druid's MySQLConnector.

CREATE TABLE druid_audit (
    id BIGINT(20) NOT NULL AUTO_INCREMENT PRIMARY KEY,
    audit_key VARCHAR(255) NOT NULL,
    type VARCHAR(255) NOT NULL,
    author VARCHAR(255) NOT NULL,
    comment VARCHAR(2048) NOT NULL,
    created_date VARCHAR(255) NOT NULL,
    payload LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_audit_audit_time ON druid_audit (created_date);
CREATE INDEX idx_druid_audit_key_time ON druid_audit (audit_key, created_date);
CREATE INDEX idx_druid_audit_type_time ON druid_audit (type, created_date);

CREATE TABLE druid_config (
    name VARCHAR(255) PRIMARY KEY,
    payload LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE druid_dataSource (
    dataSource VARCHAR(255) PRIMARY KEY,
    created_date VARCHAR(255) NOT NULL,
    commit_metadata_payload LONGBLOB NOT NULL,
    commit_metadata_sha1 VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE druid_pendingSegments (
    id VARCHAR(255) PRIMARY KEY,
    dataSource VARCHAR(255) NOT NULL,
    created_date VARCHAR(255) NOT NULL,
    start VARCHAR(255) NOT NULL,
    `end` VARCHAR(255) NOT NULL,
    sequence_name VARCHAR(255) NOT NULL,
    sequence_prev_id VARCHAR(255) NOT NULL,
    sequence_name_prev_id_sha1 VARCHAR(255) NOT NULL UNIQUE,
    payload LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_pendingsegments_datasource_end ON druid_pendingSegments (dataSource, `end`);
CREATE INDEX idx_druid_pendingsegments_datasource_sequence ON druid_pendingSegments (dataSource, sequence_name);

CREATE TABLE druid_rules (
    id VARCHAR(255) PRIMARY KEY,
    dataSource VARCHAR(255) NOT NULL,
    version VARCHAR(255) NOT NULL,
    payload LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_rules_datasource ON druid_rules (dataSource);

CREATE TABLE druid_supervisors (
    id BIGINT(20) NOT NULL AUTO_INCREMENT PRIMARY KEY,
    spec_id VARCHAR(255) NOT NULL,
    created_date VARCHAR(255) NOT NULL,
    payload LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_supervisors_spec_id ON druid_supervisors (spec_id);

CREATE TABLE druid_tasklocks (
    id BIGINT(20) NOT NULL AUTO_INCREMENT PRIMARY KEY,
    task_id VARCHAR(255) DEFAULT NULL,
    lock_payload LONGBLOB
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_tasklocks_task_id ON druid_tasklocks (task_id);

CREATE TABLE druid_tasks (
    id VARCHAR(255) PRIMARY KEY,
    created_date VARCHAR(255) NOT NULL,
    dataSource VARCHAR(255) NOT NULL,
    payload LONGBLOB NOT NULL,
    status_payload LONGBLOB NOT NULL,
    active BOOLEAN DEFAULT false NOT NULL,
    type VARCHAR(255),
    group_id VARCHAR(255)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_tasks_active_created_date ON druid_tasks (active, created_date);
CREATE INDEX idx_druid_tasks_datasource_active ON druid_tasks (dataSource, active);

CREATE TABLE druid_segments (
    id VARCHAR(255) PRIMARY KEY,
    dataSource VARCHAR(255) NOT NULL,
    created_date VARCHAR(255) NOT NULL,
    start VARCHAR(255) NOT NULL,
    `end` VARCHAR(255) NOT NULL,
    partitioned BOOLEAN NOT NULL,
    version VARCHAR(255) NOT NULL,
    used BOOLEAN NOT NULL,
    payload LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX idx_druid_segments_datasource_used_end_start ON druid_segments (dataSource, used, `end`, start);
CREATE INDEX idx_druid_segments_used ON druid_segments (used);
