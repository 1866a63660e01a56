//! Raw settings with their origin: where a value stands, so that a refusal can point at it.
//!
//! File and environment are merged key by key (the environment wins). Readers then ask for each key with its rule;
//! what nobody asked for is unknown and refused. Problems are collected, never returned at the first.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::Problem;

/// Variables with this prefix are ours: `PLENUM__SECTION__KEY`.
const PREFIX: &str = "PLENUM__";

/// A value as it was written.
#[derive(Clone, Debug)]
enum Raw {
    Text(String),
    Integer(String),
    Flag(bool),
    List(Vec<Raw>),
    /// From the environment, where only the asked-for kind tells what the text means.
    Variable(String),
    /// A kind that no key has.
    Other(&'static str),
}

impl Display for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) | Self::Variable(text) => write!(f, "{text:?}"),
            Self::Integer(digits) => f.write_str(digits),
            Self::Flag(on) => write!(f, "{on}"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(kind) => write!(f, "a value of kind {kind}"),
        }
    }
}

#[derive(Clone, Debug)]
struct Setting {
    raw: Raw,
    place: String,
}

/// All that was set, and what was found wrong on the way.
#[derive(Debug, Default)]
pub(super) struct Settings {
    found: BTreeMap<String, Setting>,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Settings {
    /// Adds the sections of a TOML document.
    pub(super) fn add_file(&mut self, name: &str, text: &str) {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            self.problem(format!("{name}:{line}"), format!("is not valid TOML: {}", error.message()));
        }
        for (section, body) in document.get_ref() {
            let line = line_of(text, section.span().start);
            let DeValue::Table(keys) = body.get_ref() else {
                self.problem(
                    format!("{name}:{line}"),
                    format!("`{}` stands outside of any section. Put it under its [section]", section.get_ref()),
                );
                continue;
            };
            self.add_table(&Document { name, text }, section.get_ref(), keys);
        }
    }

    /// Adds the keys of a section; those of a section within it as `outer.inner.key`, and of the sections of a list
    /// with their number: `outer.list.0.key`.
    fn add_table(&mut self, document: &Document<'_>, path: &str, keys: &DeTable<'_>) {
        for (key, value) in keys {
            let path = format!("{path}.{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.add_table(document, &path, inner),
                DeValue::Array(entries) if entries.iter().any(|entry| entry.get_ref().is_table()) => {
                    for (index, entry) in entries.iter().enumerate() {
                        match entry.get_ref() {
                            DeValue::Table(inner) => self.add_table(document, &format!("{path}.{index}"), inner),
                            other => self.add(document, format!("{path}.{index}"), entry.span().start, other),
                        }
                    }
                }
                other => self.add(document, path, key.span().start, other),
            }
        }
    }

    fn add(&mut self, document: &Document<'_>, path: String, offset: usize, value: &DeValue<'_>) {
        let place = format!("{}:{}", document.name, line_of(document.text, offset));
        self.found.insert(path, Setting { raw: raw(value), place });
    }

    /// Adds `PLENUM__SECTION__KEY` variables; other variables are none of our business.
    pub(super) fn add_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in environment {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let key = path.to_ascii_lowercase().replace("__", ".");
            let setting = Setting { raw: Raw::Variable(value), place: format!("environment variable {name}") };
            self.found.insert(key, setting);
        }
    }

    /// A value written as text.
    pub(super) fn text<T>(&mut self, key: &'static str, default: T, parse: fn(&str) -> Result<T, String>) -> T {
        self.read_text(key, default, parse, true)
    }

    /// Like [`Settings::text`], for values that must not be repeated in a message.
    pub(super) fn secret<T>(&mut self, key: &'static str, default: T, parse: fn(&str) -> Result<T, String>) -> T {
        self.read_text(key, default, parse, false)
    }

    fn read_text<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: fn(&str) -> Result<T, String>,
        quotable: bool,
    ) -> T {
        let Some(setting) = self.take(key) else { return default };
        let result = match &setting.raw {
            Raw::Text(text) | Raw::Variable(text) => parse(text),
            _ => Err("must be text in quotes".to_owned()),
        };
        result.unwrap_or_else(|reason| {
            let shown = if quotable { format!("{key} = {}", setting.raw) } else { key.to_owned() };
            self.problem(setting.place, format!("{shown} {reason}"));
            default
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(setting) = self.take(key) else { return default };
        match &setting.raw {
            Raw::Flag(on) => *on,
            Raw::Variable(text) if text == "true" => true,
            Raw::Variable(text) if text == "false" => false,
            raw => {
                let text = format!("{key} = {raw} is neither on nor off. Write true or false");
                self.problem(setting.place, text);
                default
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn number(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(setting) = self.take(key) else { return default };
        let number = match &setting.raw {
            Raw::Integer(digits) | Raw::Variable(digits) => digits.replace('_', "").parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = range.into_inner();
                let text = format!("{key} = {} is not a whole number from {low} to {high}", setting.raw);
                self.problem(setting.place, text);
                default
            }
        }
    }

    /// A list of texts; a comma-separated one in the environment. Empty by default.
    pub(super) fn list<T>(&mut self, key: &'static str, parse: fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(setting) = self.take(key) else { return Vec::new() };
        let entries: Vec<Raw> = match setting.raw {
            Raw::List(entries) => entries,
            Raw::Variable(text) => {
                text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(|e| Raw::Text(e.into())).collect()
            }
            raw => {
                let text = format!("{key} = {raw} is not a list. Write it in brackets: [\"...\", \"...\"]");
                self.problem(setting.place, text);
                return Vec::new();
            }
        };
        let mut parsed = Vec::with_capacity(entries.len());
        for entry in entries {
            let result = match &entry {
                Raw::Text(text) => parse(text),
                _ => Err("must be text in quotes".to_owned()),
            };
            match result {
                Ok(value) => parsed.push(value),
                Err(reason) => self.problem(setting.place.clone(), format!("{key}: {entry} {reason}")),
            }
        }
        parsed
    }

    /// The sections of a list, each as settings of their own in which its keys have the path of the list, without a
    /// number. What is wrong in one goes back by [`Settings::finish_section`].
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        let prefix = format!("{key}.");
        let mut sections: BTreeMap<usize, Self> = BTreeMap::new();
        let within = |path: &String| path.strip_prefix(&prefix).and_then(numbered).is_some();
        for (path, setting) in self.found.extract_if(.., |path, _| within(path)) {
            if let Some((number, rest)) = path.strip_prefix(&prefix).and_then(numbered) {
                sections.entry(number).or_default().found.insert(format!("{prefix}{rest}"), setting);
            }
        }
        // Written as an empty list there are none; anything else that has this key itself is refused as no list.
        let _: Vec<()> = self.list(key, |_| Err("is no section. Write [[...]] and its keys below".to_owned()));
        sections.into_values().collect()
    }

    /// Takes back what [`Settings::sections`] gave out.
    pub(super) fn finish_section(&mut self, section: Self) {
        if let Err(problems) = section.finish() {
            self.problems.extend(problems);
        }
    }

    /// Notes that keys do not go together.
    pub(super) fn conflict(&mut self, keys: &str, text: &str) {
        self.problem(keys.to_owned(), text.to_owned());
    }

    /// Refuses what nobody asked for and hands out every problem.
    pub(super) fn finish(mut self) -> Result<(), Vec<Problem>> {
        for (key, setting) in std::mem::take(&mut self.found) {
            let text = format!("{key} is not a setting. {}", self.suggestion(&key));
            self.problem(setting.place, text);
        }
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }

    /// Every key that was asked for.
    pub(super) fn into_asked(self) -> Vec<&'static str> {
        self.asked
    }

    fn take(&mut self, key: &'static str) -> Option<Setting> {
        self.asked.push(key);
        self.found.remove(key)
    }

    fn problem(&mut self, place: String, text: String) {
        self.problems.push(Problem { place, text });
    }

    /// The nearest key if there is a near one, else those of the section, else the sections.
    fn suggestion(&self, key: &str) -> String {
        let nearest = self.asked.iter().min_by_key(|known| distance(key, known));
        if let Some(known) = nearest.filter(|known| distance(key, known) <= 2) {
            return format!("Did you mean {known}?");
        }
        let section = section_of(key);
        let prefix = format!("{section}.");
        let siblings = self.asked.iter().filter(|known| section_of(known) == section);
        let siblings: Vec<&str> = siblings.filter_map(|known| known.strip_prefix(&prefix)).collect();
        if siblings.is_empty() {
            let mut sections: Vec<&str> = self.asked.iter().map(|known| section_of(known)).collect();
            sections.sort_unstable();
            sections.dedup();
            return format!("There is no section [{section}]; there are: {}", sections.join(", "));
        }
        format!("[{section}] knows: {}", siblings.join(", "))
    }
}

/// A file that is being read.
struct Document<'a> {
    name: &'a str,
    text: &'a str,
}

/// `outer.inner` of `outer.inner.key`.
fn section_of(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(section, _)| section)
}

/// `3.key` in its parts.
fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Raw::Integer(number.as_str().to_owned()),
        DeValue::Boolean(on) => Raw::Flag(*on),
        DeValue::Array(entries) => Raw::List(entries.iter().map(|entry| raw(entry.get_ref())).collect()),
        other => Raw::Other(other.type_str()),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Levenshtein distance: how many letters a typing error got wrong.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut previous = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        let mut left_of = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.chars()) {
            let cost = if a == b { previous } else { 1 + previous.min(*cell).min(left_of) };
            previous = std::mem::replace(cell, cost);
            left_of = cost;
        }
    }
    row.last().copied().unwrap_or_default()
}
