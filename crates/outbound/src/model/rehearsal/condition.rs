//! When a rule matches, and what its patterns caught.

use regex::{Captures, Regex};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::scene::Scene;

/// Conditions of a rule; all that are given must hold.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct When {
    message: Option<Pattern>,
    result: Option<Pattern>,
    seen: Vec<Pattern>,
    agent: Option<Pattern>,
    system: Option<Pattern>,
    result_is_error: Option<bool>,
    tool: Option<String>,
    after_message: Option<bool>,
    turn: Option<Span>,
    round: Option<Span>,
}

/// A regular expression, compiled while the file is read, so that a bad one is reported with its line.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub(super) Regex);

/// A number, or all numbers from one to another, both included.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: u64,
    to: u64,
}

/// What the patterns of a rule caught.
#[derive(Debug, Default)]
pub(super) struct Caught {
    /// The groups of all patterns in order. A group that took no part is empty.
    numbered: Vec<String>,
    named: Vec<(String, String)>,
}

impl When {
    /// Every pattern, in the order in which their groups are numbered.
    fn patterns(&self) -> impl Iterator<Item = &Regex> {
        let before = self.message.iter().chain(&self.result);
        before.chain(&self.seen).chain(&self.agent).chain(&self.system).map(|pattern| &pattern.0)
    }

    /// How many groups the patterns have together.
    pub(super) fn group_count(&self) -> usize {
        self.patterns().map(|pattern| pattern.captures_len() - 1).sum()
    }

    /// Whether some pattern has a group of this name.
    pub(super) fn has_group(&self, name: &str) -> bool {
        self.patterns().any(|pattern| pattern.capture_names().flatten().any(|group| group == name))
    }

    /// What is wrong with the conditions themselves.
    pub(super) fn check(&self) -> Result<(), String> {
        let given = [
            self.patterns().next().is_some(),
            self.result_is_error.is_some(),
            self.tool.is_some(),
            self.after_message.is_some(),
            self.turn.is_some(),
            self.round.is_some(),
        ];
        if !given.contains(&true) {
            return Err(
                "at least one condition is needed; a reply for everything else belongs under `otherwise`".to_owned()
            );
        }
        if self.after_message == Some(true)
            && (self.result.is_some() || self.result_is_error.is_some() || self.tool.is_some())
        {
            return Err("`after_message: true` excludes `result`, `result_is_error` and `tool`".to_owned());
        }
        let names: Vec<&str> = self.patterns().flat_map(Regex::capture_names).flatten().collect();
        for (index, name) in names.iter().enumerate() {
            if matches!(*name, "message" | "result" | "turn" | "round" | "agent") {
                return Err(format!(
                    "a group may not be called {name:?}: the placeholder of this name means something else"
                ));
            }
            if names[..index].contains(name) {
                return Err(format!("two groups are called {name:?}"));
            }
        }
        Ok(())
    }

    /// What the patterns caught, if every condition holds.
    pub(super) fn catch(&self, scene: &Scene<'_>) -> Option<Caught> {
        let results = &scene.results;
        let holds = self.turn.is_none_or(|span| span.holds(scene.turn))
            && self.round.is_none_or(|span| span.holds(scene.round))
            && self.after_message.is_none_or(|after| after == scene.after_message)
            && self.tool.as_ref().is_none_or(|tool| results.last().and_then(|last| last.tool) == Some(tool))
            && self
                .result_is_error
                .is_none_or(|wanted| !results.is_empty() && results.iter().any(|result| result.is_error) == wanted);
        if !holds {
            return None;
        }
        let mut caught = Caught::default();
        if let Some(pattern) = &self.message {
            caught.add(pattern, scene.message.as_deref()?)?;
        }
        if let Some(pattern) = &self.result {
            if results.is_empty() {
                return None;
            }
            caught.add(pattern, &scene.result())?;
        }
        for pattern in &self.seen {
            let text = scene.seen.iter().find(|seen| pattern.0.is_match(&seen.text))?;
            caught.add(pattern, &text.text)?;
        }
        if let Some(pattern) = &self.agent {
            caught.add(pattern, scene.agent)?;
        }
        if let Some(pattern) = &self.system {
            caught.add(pattern, scene.system)?;
        }
        Some(caught)
    }
}

impl Caught {
    fn add(&mut self, pattern: &Pattern, text: &str) -> Option<()> {
        let found: Captures<'_> = pattern.0.captures(text)?;
        for (group, name) in found.iter().zip(pattern.0.capture_names()).skip(1) {
            let text = group.map_or("", |group| group.as_str());
            self.numbered.push(text.to_owned());
            if let Some(name) = name {
                self.named.push((name.to_owned(), text.to_owned()));
            }
        }
        Some(())
    }

    /// A group by its number, from 1.
    pub(super) fn numbered(&self, number: usize) -> &str {
        number.checked_sub(1).and_then(|index| self.numbered.get(index)).map_or("", String::as_str)
    }

    /// A group by its name.
    pub(super) fn named(&self, name: &str) -> &str {
        self.named.iter().find(|(group, _)| group == name).map_or("", |(_, text)| text)
    }
}

impl Span {
    fn holds(self, number: u64) -> bool {
        (self.from..=self.to).contains(&number)
    }

    fn read(text: &str) -> Option<Self> {
        let number = |text: &str, absent: u64| if text.is_empty() { Some(absent) } else { text.parse().ok() };
        let (from, to) = text.split_once("..")?;
        let span = Self { from: number(from.trim(), 1)?, to: number(to.trim(), u64::MAX)? };
        (span.from >= 1 && span.from <= span.to).then_some(span)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrRange;
        impl Visitor<'_> for NumberOrRange {
            type Value = Span;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number from 1 or a range such as \"2..4\"")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
                match number {
                    0 => Err(E::invalid_value(de::Unexpected::Unsigned(0), &self)),
                    _ => Ok(Span { from: number, to: number }),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(NumberOrRange)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Self).map_err(|error| de::Error::custom(format!("bad pattern: {error}")))
    }
}
