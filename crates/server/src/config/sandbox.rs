//! `[sandbox]`: where tools run, and what one sandbox may use.

use super::problem::{ConfigProblem, check_range};
use serde::Deserialize;

/// Where tools run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxBackend {
    /// In namespaces of their own, made with bubblewrap.
    #[default]
    Bubblewrap,
    /// On the host itself, with everything that the server's user may do. For trying things out, never for others.
    UnsafeHost,
}

/// `[sandbox]`. The limits hold for one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// Where tools run. `bubblewrap`.
    pub backend: SandboxBackend,
    /// Memory of all processes together, in MiB. 2,048.
    pub memory_mib_max: u64,
    /// Processes and threads at one time. 256.
    pub pids_max: u64,
    /// Space in the workspace and the outputs together, in MiB. 10,240.
    pub disk_mib_max: u64,
    /// Files and directories in the workspace and the outputs together. 500,000.
    pub inodes_max: u64,
    /// Space that must stay free on the host's file system, in MiB. 1,024.
    pub host_free_mib_min: u64,
    /// Size of one file, in MiB. 4,096.
    pub file_mib_max: u64,
    /// Open files of one process. 1,024.
    pub open_files_max: u64,
    /// Size of `/tmp`, which lives in memory, in MiB. 512.
    pub tmp_mib_max: u64,
    /// Size of `/dev/shm`, which lives in memory, in MiB. 64.
    pub shm_mib_max: u64,
    /// Longest time that one tool call may take, in seconds. 150.
    pub call_s_max: u64,
    /// Longest time that one `bash` command may take unless it asks for another, in seconds. 120.
    pub bash_s_default: u64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            backend: SandboxBackend::default(),
            memory_mib_max: 2_048,
            pids_max: 256,
            disk_mib_max: 10_240,
            inodes_max: 500_000,
            host_free_mib_min: 1_024,
            file_mib_max: 4_096,
            open_files_max: 1_024,
            tmp_mib_max: 512,
            shm_mib_max: 64,
            call_s_max: 150,
            bash_s_default: 120,
        }
    }
}

/// A PiB: beyond any machine, and far from overflow once it is counted in bytes.
const MIB_MAX: u64 = 1 << 30;
const HOUR_S: u64 = 3_600;

impl SandboxConfig {
    pub(super) fn check(&self) -> Result<(), ConfigProblem> {
        check_range("sandbox.memory_mib_max", self.memory_mib_max, 64, MIB_MAX)?;
        check_range("sandbox.pids_max", self.pids_max, 8, 1_000_000)?;
        check_range("sandbox.disk_mib_max", self.disk_mib_max, 1, MIB_MAX)?;
        check_range("sandbox.inodes_max", self.inodes_max, 100, 1_000_000_000)?;
        check_range("sandbox.host_free_mib_min", self.host_free_mib_min, 0, MIB_MAX)?;
        check_range("sandbox.file_mib_max", self.file_mib_max, 1, MIB_MAX)?;
        check_range("sandbox.open_files_max", self.open_files_max, 16, 1_000_000)?;
        check_range("sandbox.tmp_mib_max", self.tmp_mib_max, 1, MIB_MAX)?;
        check_range("sandbox.shm_mib_max", self.shm_mib_max, 1, MIB_MAX)?;
        check_range("sandbox.call_s_max", self.call_s_max, 1, HOUR_S)?;
        check_range("sandbox.bash_s_default", self.bash_s_default, 1, self.call_s_max)
    }
}
