//! Time and chance, as an argument.

use daybreak_api::id::{Id, Kind};
use daybreak_api::time::Timestamp;

/// Where the time and new ids come from.
pub trait World: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// A number never given before. Numbers given later are larger.
    fn unique(&self) -> uuid::Uuid;

    /// A new id.
    fn id(&self, kind: Kind) -> Id {
        Id::new(kind, self.unique())
    }
}

/// The clock and the chance of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemWorld;

impl World for SystemWorld {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where chance is asked")]
    fn unique(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}
