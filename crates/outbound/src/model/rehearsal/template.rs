//! Texts with placeholders.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::condition::{Caught, When};
use super::scene::Scene;

/// A text with placeholders, understood while the file is read.
#[derive(Debug, Clone)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Message,
    Result,
    Turn,
    Round,
    Agent,
    Numbered(usize),
    Named(String),
    Find(Regex),
    Count(Regex),
    Lines(Regex),
}

/// Any JSON value whose strings are templates.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Null, a boolean or a number.
    Plain(serde_json::Value),
    /// A string.
    Text(Template),
    /// A list.
    List(Vec<Value>),
    /// A mapping, in the order of the file.
    Map(Vec<(String, Value)>),
}

impl Template {
    fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            if let Some(before) = rest[..at].strip_suffix('\\') {
                literal.push_str(before);
                literal.push_str("{{");
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            let inside = &rest[at + 2..];
            let end =
                end_of_placeholder(inside).ok_or_else(|| format!("`{{{{{}` is never closed", shortened(inside)))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::read(&inside[..end])?);
            rest = &inside[end + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// Whether every group that it names exists.
    pub(super) fn check(&self, when: &When) -> Result<(), String> {
        for part in &self.0 {
            match part {
                Part::Numbered(number) if *number > when.group_count() => {
                    return Err(format!("`{{{{{number}}}}}`: the conditions have {} groups", when.group_count()));
                }
                Part::Named(name) if !when.has_group(name) => {
                    return Err(format!("`{{{{{name}}}}}` is neither a placeholder nor a group of the conditions"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The text with everything filled in.
    ///
    /// # Errors
    /// A `find` that finds nothing.
    pub(super) fn fill(&self, scene: &Scene<'_>, caught: &Caught) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Message => text.push_str(scene.message.as_deref().unwrap_or_default()),
                Part::Result => text.push_str(&scene.result()),
                Part::Turn => push_number(&mut text, scene.turn),
                Part::Round => push_number(&mut text, scene.round),
                Part::Agent => text.push_str(scene.agent),
                Part::Numbered(number) => text.push_str(caught.numbered(*number)),
                Part::Named(name) => text.push_str(caught.named(name)),
                Part::Find(pattern) => text.push_str(find(pattern, scene)?),
                Part::Count(pattern) => {
                    let count: usize = scene.tool_texts().map(|text| pattern.find_iter(text).count()).sum();
                    push_number(&mut text, count as u64);
                }
                Part::Lines(pattern) => {
                    let lines = scene.tool_texts().flat_map(str::lines).filter(|line| pattern.is_match(line));
                    text.push_str(&lines.collect::<Vec<_>>().join("\n"));
                }
            }
        }
        Ok(text)
    }
}

impl Part {
    fn read(inside: &str) -> Result<Self, String> {
        if let Some((word, pattern)) = inside.split_once(':') {
            let pattern = RegexBuilder::new(pattern).multi_line(true).build();
            let pattern = pattern.map_err(|error| format!("bad pattern in `{{{{{word}:…}}}}`: {error}"))?;
            return match word {
                "find" => Ok(Self::Find(pattern)),
                "count" => Ok(Self::Count(pattern)),
                "lines" => Ok(Self::Lines(pattern)),
                _ => Err(format!("`{{{{{}:…}}}}` is not find, count or lines", shortened(word))),
            };
        }
        Ok(match inside.trim() {
            "message" => Self::Message,
            "result" => Self::Result,
            "turn" => Self::Turn,
            "round" => Self::Round,
            "agent" => Self::Agent,
            "" => return Err("`{{}}` names nothing".to_owned()),
            name => match name.parse::<usize>() {
                Ok(0) => return Err("`{{0}}`: groups are numbered from 1".to_owned()),
                Ok(number) => Self::Numbered(number),
                Err(_) => Self::Named(shortened(name)),
            },
        })
    }
}

/// Where the closing braces begin. Of three braces in a row the last two close, so that a pattern may end in one.
fn end_of_placeholder(inside: &str) -> Option<usize> {
    let mut end = inside.find("}}")?;
    while inside[end + 2..].starts_with('}') {
        end += 1;
    }
    Some(end)
}

fn find<'s>(pattern: &Regex, scene: &'s Scene<'_>) -> Result<&'s str, String> {
    let found = scene.seen.iter().find_map(|seen| pattern.captures(&seen.text));
    let found = found.ok_or_else(|| format!("`{{{{find:{}}}}}` finds nothing", shortened(pattern.as_str())))?;
    // Why the whole match as a fall-back twice: there may be no group, or it may have taken no part.
    Ok(found.get(1).or_else(|| found.get(0)).map_or("", |group| group.as_str()))
}

fn push_number(text: &mut String, number: u64) {
    // Why ignored: writing to a string cannot fail.
    let _ = write!(text, "{number}");
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Value {
    /// Whether every group named in it exists.
    pub(super) fn check(&self, when: &When) -> Result<(), String> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Text(template) => template.check(when),
            Self::List(values) => values.iter().try_for_each(|value| value.check(when)),
            Self::Map(members) => members.iter().try_for_each(|(_, value)| value.check(when)),
        }
    }

    /// The value with everything filled in.
    pub(super) fn fill(&self, scene: &Scene<'_>, caught: &Caught) -> Result<serde_json::Value, String> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Text(template) => serde_json::Value::String(template.fill(scene, caught)?),
            Self::List(values) => serde_json::Value::Array(
                values.iter().map(|value| value.fill(scene, caught)).collect::<Result<_, _>>()?,
            ),
            Self::Map(members) => {
                let filled = |(name, value): &(String, Value)| Ok((name.clone(), value.fill(scene, caught)?));
                serde_json::Value::Object(members.iter().map(filled).collect::<Result<_, String>>()?)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Value;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Plain(value.into()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Plain(value.into()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Plain(value.into()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
                let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("not a number of JSON"))?;
                Ok(Value::Plain(number.into()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Ok(Value::Plain(serde_json::Value::Null))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
                Template::read(value).map(Value::Text).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Value::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if members.iter().any(|(member, _)| *member == name) {
                        return Err(de::Error::custom(format!("{name:?} is given twice")));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Value::Map(members))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}
