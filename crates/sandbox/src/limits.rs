//! What one sandbox may use. Every limit has a name, a unit and a default.

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// What one sandbox may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all processes together where a memory cgroup can be made, otherwise the address space of each
    /// process. 2 GiB.
    pub memory_bytes_max: u64,
    /// Processes and threads at one time. 256.
    pub pids_max: u64,
    /// Bytes on disk in the workspace and the outputs together. 10 GiB.
    pub disk_bytes_max: u64,
    /// Files and directories in the workspace and the outputs together. 500,000.
    pub inodes_max: u64,
    /// Bytes that must stay free on the host's file system. 1 GiB.
    pub host_free_bytes_min: u64,
    /// Size of one file. 4 GiB.
    pub file_bytes_max: u64,
    /// Open files of one process. 1,024.
    pub open_files_max: u64,
    /// Size of `/tmp`, which lives in memory. 512 MiB.
    pub tmp_bytes_max: u64,
    /// Size of `/dev/shm`, which lives in memory. 64 MiB.
    pub shm_bytes_max: u64,
    /// Longest time that one tool call may take. 150 s.
    pub call_time_max: Duration,
    /// Longest time that one `bash` command may take unless it asks for another. 120 s.
    pub bash_time_default: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 2 * GIB,
            pids_max: 256,
            disk_bytes_max: 10 * GIB,
            inodes_max: 500_000,
            host_free_bytes_min: GIB,
            file_bytes_max: 4 * GIB,
            open_files_max: 1024,
            tmp_bytes_max: 512 * MIB,
            shm_bytes_max: 64 * MIB,
            call_time_max: Duration::from_secs(150),
            bash_time_default: Duration::from_secs(120),
        }
    }
}
