//! Every limit of the wire, with its unit in the name. A violation is a 4xx that names the limit.

/// Bytes of a JSON request body.
pub const JSON_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Values in a JSON request body, of any kind and at any depth. Far more than any real request holds.
pub const JSON_VALUES_MAX: usize = 250_000;
/// Bytes of an uploaded file.
pub const FILE_BYTES_MAX: u64 = 500 * 1024 * 1024;
/// Characters of a file's name.
pub const FILENAME_CHARS_MAX: usize = 255;
/// Seconds until an uploaded file expires, at the least.
pub const FILE_EXPIRY_SECONDS_MIN: i64 = 3_600;
/// Seconds until an uploaded file expires, at the most (90 days).
pub const FILE_EXPIRY_SECONDS_MAX: i64 = 7_776_000;
/// Ids in one `ids[]` filter of the file list.
pub const FILE_IDS_MAX: usize = 100;

/// Pairs in `metadata`.
pub const METADATA_PAIRS_MAX: usize = 16;
/// Characters of a metadata key.
pub const METADATA_KEY_CHARS_MAX: usize = 64;
/// Characters of a metadata value.
pub const METADATA_VALUE_CHARS_MAX: usize = 512;

/// Characters of an agent's name.
pub const AGENT_NAME_CHARS_MAX: usize = 256;
/// Characters of an agent's description.
pub const AGENT_DESCRIPTION_CHARS_MAX: usize = 2_048;
/// Characters of a system prompt.
pub const AGENT_SYSTEM_CHARS_MAX: usize = 100_000;
/// Tools of an agent, over all its toolsets.
pub const AGENT_TOOLS_MAX: usize = 256;

/// Characters of an environment's name. The contract gives no number; an agent's is used.
pub const ENVIRONMENT_NAME_CHARS_MAX: usize = 256;
/// Characters of an environment's description. The contract gives no number; an agent's is used.
pub const ENVIRONMENT_DESCRIPTION_CHARS_MAX: usize = 2_048;

/// Characters of a session's title. The contract gives no number; an agent's name is the model.
pub const SESSION_TITLE_CHARS_MAX: usize = 256;
/// Events in `initial_events`.
pub const INITIAL_EVENTS_MAX: usize = 50;
/// Documents with a file source in `initial_events`.
pub const INITIAL_FILE_DOCUMENTS_MAX: usize = 100;
/// Events in one send. The contract gives no number.
pub const SEND_EVENTS_MAX: usize = 1_000;
/// Resources of a session.
pub const SESSION_RESOURCES_MAX: usize = 500;
/// Bytes of a mount path. The kernel refuses paths of more than 4,096 bytes, and ours begin with the data directory.
pub const MOUNT_PATH_BYTES_MAX: usize = 1_024;

/// Page size of a list when none is asked for.
pub const PAGE_DEFAULT: u32 = 20;
/// Largest page of most lists.
pub const PAGE_MAX: u32 = 100;
/// Largest page of files, models and session resources.
pub const PAGE_WIDE_MAX: u32 = 1_000;
/// Events in a page: default and maximum.
pub const EVENTS_PAGE_MAX: u32 = 1_000;
/// Threads in a page: default and maximum.
pub const THREADS_PAGE_MAX: u32 = 1_000;
