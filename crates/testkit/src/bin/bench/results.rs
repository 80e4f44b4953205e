//! What was measured, by key, and how it reads as a table or as JSON.

use crate::clock::median;
use crate::figures::{FIGURES, Figure, Unit};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The values of every repetition.
#[derive(Default)]
pub(crate) struct Results(BTreeMap<&'static str, Vec<f64>>);

/// A figure as measured.
struct Outcome<'f> {
    figure: &'f Figure,
    values: &'f [f64],
    value: f64,
    floor: Option<f64>,
    ratio: Option<f64>,
}

impl Results {
    /// Adds a repetition's value of a figure.
    pub(crate) fn add(&mut self, key: &'static str, value: f64) {
        self.0.entry(key).or_default().push(value);
    }

    fn outcomes(&self) -> impl Iterator<Item = Outcome<'_>> {
        let of = |key: &str| self.0.get(key).map(Vec::as_slice);
        FIGURES.iter().filter_map(move |figure| {
            let values = of(figure.key)?;
            let value = median(values);
            let floors = figure.floor.and_then(of);
            // Repetition by repetition: a moment in which the machine was busy with something else slowed both.
            let ratios = floors.map(|floors| values.iter().zip(floors).map(|(value, floor)| value / floor).collect());
            let ratio = ratios.map(|ratios: Vec<f64>| median(&ratios));
            Some(Outcome { figure, values, value, floor: floors.map(median), ratio })
        })
    }

    /// The table, for people.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![["row", "what", "median", "floor", "ratio", "goal", "", "least … most"].map(str::to_owned)];
        for outcome in self.outcomes() {
            let figure = outcome.figure;
            let show = |value: f64| figure.unit.show(value);
            let least = outcome.values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = outcome.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            rows.push([
                figure.row.to_owned(),
                figure.what.to_owned(),
                show(outcome.value),
                outcome.floor.map(show).unwrap_or_default(),
                outcome.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                figure.goal_text(),
                outcome.verdict().to_owned(),
                if least < most { format!("{} … {}", show(least), show(most)) } else { String::new() },
            ]);
        }
        aligned(&rows)
    }

    /// The same, for programs.
    pub(crate) fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .outcomes()
            .map(|outcome| {
                let figure = outcome.figure;
                json!({
                    "key": figure.key, "row": figure.row, "what": figure.what, "unit": figure.unit.name(),
                    "median": outcome.value, "values": outcome.values,
                    "floor_key": figure.floor, "floor": outcome.floor, "ratio": outcome.ratio,
                    "goal": figure.goal, "goal_ratio": figure.goal_ratio, "verdict": outcome.verdict(),
                })
            })
            .collect();
        json!({"machine": machine(), "figures": figures})
    }
}

impl Outcome<'_> {
    /// Disks and hosts differ: a goal may be met as an absolute figure, as a ratio to the floor, or both.
    fn verdict(&self) -> &'static str {
        let figure = self.figure;
        let reached =
            |value: f64, goal: f64| if figure.unit == Unit::PerSecond { value >= goal } else { value <= goal };
        let absolute = figure.goal.map(|goal| reached(self.value, goal));
        let relative = figure.goal_ratio.zip(self.ratio).map(|(goal, ratio)| reached(ratio, goal));
        match (absolute, relative) {
            (None, None) => "",
            (Some(true), None | Some(true)) | (None, Some(true)) => "met",
            (Some(true), Some(false)) => "met, not its ratio",
            (Some(false), Some(true)) => "met as a ratio",
            (Some(false) | None, _) => "MISSED",
        }
    }
}

/// What the figures were measured on.
pub(crate) fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    json!({"cores": cores, "kernel": read("/proc/sys/kernel/osrelease"), "load": read("/proc/loadavg")})
}

fn aligned(rows: &[[String; 8]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            2..=4 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
