//! Every figure: what it answers, what it stands beside, and what it should be.
//!
//! A goal is the absolute figure that a machine with two cores and a fast disk should give; where a floor exists
//! that bounds the row, the goal is also a ratio to it, which holds on any machine.

/// What a figure counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// More is better. Of everything else, less is.
    PerSecond,
    Millis,
    Mib,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    /// The row that it belongs to; `floor` for what the machine gives without Daybreak.
    pub(crate) row: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    /// The key of the floor it stands beside.
    pub(crate) floor: Option<&'static str>,
    pub(crate) goal: Option<f64>,
    pub(crate) goal_ratio: Option<f64>,
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Millis if value < 0.1 => format!("{value:.3} ms"),
            Self::Millis => format!("{value:.2} ms"),
            Self::Mib => format!("{value:.1} MiB"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Millis => "ms",
            Self::Mib => "MiB",
        }
    }
}

impl Figure {
    const fn floor(key: &'static str, what: &'static str, unit: Unit) -> Self {
        Self { key, row: "floor", what, unit, floor: None, goal: None, goal_ratio: None }
    }

    const fn row(row: &'static str, key: &'static str, what: &'static str, unit: Unit) -> Self {
        Self { key, row, what, unit, floor: None, goal: None, goal_ratio: None }
    }

    const fn beside(self, floor: &'static str) -> Self {
        Self { floor: Some(floor), ..self }
    }

    const fn goal(self, goal: f64) -> Self {
        Self { goal: Some(goal), ..self }
    }

    const fn goal_ratio(self, ratio: f64) -> Self {
        Self { goal_ratio: Some(ratio), ..self }
    }

    pub(crate) fn goal_text(&self) -> String {
        let sign = if self.unit == Unit::PerSecond { "≥" } else { "≤" };
        let absolute = self.goal.map(|goal| match self.unit {
            Unit::PerSecond => format!("{sign} {goal}/s"),
            unit => format!("{sign} {goal} {}", unit.name()),
        });
        let ratio = self.goal_ratio.map(|ratio| format!("{sign} {ratio} × floor"));
        absolute.into_iter().chain(ratio).collect::<Vec<_>>().join(", ")
    }
}

/// In the order of the table.
pub(crate) const FIGURES: &[Figure] = &[
    Figure::floor("fsync", "4 KiB made durable, p50", Unit::Millis),
    Figure::floor("sqlite-1", "SQLite, commits of 1 event", Unit::PerSecond),
    Figure::floor("sqlite-8", "SQLite, commits of 8 × 1 event", Unit::PerSecond),
    Figure::floor("sqlite-50", "SQLite, commits of 50 events", Unit::PerSecond),
    Figure::floor("hello", "JSON POSTs, 8 connections", Unit::PerSecond),
    Figure::floor("accept-1", "events through HTTP and group commit, 1 a request", Unit::PerSecond),
    Figure::floor("accept-1-p99", "the same, p99 of a request", Unit::Millis),
    Figure::floor("accept-50", "events through HTTP and group commit, 50 a request", Unit::PerSecond),
    Figure::floor("echo", "POST → frame on an open stream, p50", Unit::Millis),
    Figure::floor("durable-echo-p50", "POST → commit → frame on an open stream, p50", Unit::Millis),
    Figure::floor("durable-echo-p99", "the same, p99", Unit::Millis),
    Figure::floor("bash", "bash -c true, p50", Unit::Millis),
    Figure::floor("bwrap-p50", "bubblewrap + bash -c true, p50", Unit::Millis),
    Figure::floor("bwrap-p99", "bubblewrap + bash -c true, p99", Unit::Millis),
    Figure::floor("shell", "a builtin of a live bash, p50", Unit::Millis),
    Figure::row("E1", "accept", "events accepted, 1 a request, 8 connections", Unit::PerSecond)
        .beside("accept-1")
        .goal(10_000.0)
        .goal_ratio(0.5),
    Figure::row("E1", "accept-p99", "the same, p99 of a request", Unit::Millis).beside("accept-1-p99"),
    Figure::row("E1", "accept-batch", "events accepted, 50 a request, 8 connections", Unit::PerSecond)
        .beside("accept-50")
        .goal(50_000.0),
    Figure::row("S1", "create", "sessions created, 8 connections", Unit::PerSecond)
        .beside("accept-1")
        .goal(8_500.0)
        .goal_ratio(0.32),
    Figure::row("S1", "create-p99", "the same, p99 of a request", Unit::Millis).beside("accept-1-p99").goal(5.0),
    Figure::row("T1", "post-to-stream-p50", "post → its first frame on the stream, p50", Unit::Millis)
        .beside("durable-echo-p50")
        .goal(1.0),
    Figure::row("T1", "post-to-stream-p99", "post → its first frame on the stream, p99", Unit::Millis)
        .beside("durable-echo-p99"),
    Figure::row("T2", "post-to-model-p50", "post → model request, p50", Unit::Millis)
        .beside("durable-echo-p50")
        .goal(1.5),
    Figure::row("T2", "post-to-model-p99", "post → model request, p99", Unit::Millis).beside("durable-echo-p99"),
    Figure::row("T3", "model-to-stream-p50", "model's last byte → agent.message, p50", Unit::Millis)
        .beside("durable-echo-p50")
        .goal(0.7),
    Figure::row("T3", "model-to-stream-p99", "model's last byte → agent.message, p99", Unit::Millis)
        .beside("durable-echo-p99"),
    Figure::row("T4", "tool-warm-p50", "tool gap, bash true, warm sandbox, p50", Unit::Millis)
        .beside("bwrap-p50")
        .goal(4.0)
        .goal_ratio(0.95),
    Figure::row("T4", "tool-warm-p99", "tool gap, bash true, warm sandbox, p99", Unit::Millis).beside("bwrap-p99"),
    Figure::row("T4", "tool-new-p50", "tool gap, bash true, new sandbox, p50", Unit::Millis)
        .beside("bwrap-p50")
        .goal(10.0)
        .goal_ratio(2.4),
    Figure::row("T4", "tool-new-p99", "tool gap, bash true, new sandbox, p99", Unit::Millis).beside("bwrap-p99"),
    Figure::row("T5", "turns", "turns without tools, 16 sessions", Unit::PerSecond).goal(1_100.0),
    Figure::row("T5", "turn-cpu", "CPU of the server for such a turn", Unit::Millis).goal(1.0),
    Figure::row("T5", "tool-turns", "turns with one bash call, 16 sessions", Unit::PerSecond),
    Figure::row("T5", "tool-turn-cpu", "CPU of the server for such a turn", Unit::Millis),
    Figure::row("R2", "start", "start → first answer of /readyz, new data directory", Unit::Millis).goal(150.0),
    Figure::row("R2", "idle-rss", "resident memory, idle", Unit::Mib).goal(40.0),
    Figure::row("R2", "binary", "size of the program", Unit::Mib).goal(40.0),
];

/// The rows that can be asked for.
pub(crate) fn rows() -> Vec<&'static str> {
    let mut rows: Vec<&str> = FIGURES.iter().map(|figure| figure.row).filter(|row| *row != "floor").collect();
    rows.dedup();
    rows
}
