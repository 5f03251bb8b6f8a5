//! The book of numbers: every dialplan of a directory, and which of them serves a dialled number.
//!
//! Lookup is by map, never by path: a dialled number is data of the caller (attack A19).

use super::ConfigError;
use super::dialplan::{Dialplan, NumberPattern};
use super::document::At;
use super::settings::Settings;
use super::suggest;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest number, characters (E.164 has 15 digits; the rest is for extensions with names).
const MAX_NUMBER: usize = 64;
/// Fewest digits that are taken for an E.164 number without its `+`.
const MIN_E164_DIGITS: usize = 8;

/// All dialplans of a directory, checked against each other and against the settings.
#[derive(Clone, Debug, Default)]
pub struct Book {
    plans: Vec<Arc<Dialplan>>,
    exact: HashMap<String, usize>,
    /// Longest first.
    prefixes: Vec<(String, usize)>,
    default: Option<usize>,
}

/// Why a plan serves a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    Exact(String),
    Prefix(String),
    Default,
}

impl Book {
    /// Loads `*.toml` of `directory`. Two files for one number, an unknown provider … are errors; all at once.
    pub fn load(directory: &Path, settings: &Settings) -> Result<Book, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut plans = Vec::new();
        for file in files(directory).map_err(|error| vec![error])? {
            match Dialplan::load(&file) {
                Ok(plan) => plans.push(plan),
                Err(mut found) => errors.append(&mut found),
            }
        }
        if plans.is_empty() && errors.is_empty() {
            let message = "has no dialplan (*.toml): add one for each number, and default.toml for all others";
            errors.push(At::file(&directory.display().to_string()).error("", message));
        }
        errors.extend(plans.iter().filter_map(|plan| unknown_provider(plan, settings)));
        errors.extend(plans.iter().flat_map(|plan| unknown_trunks(plan, settings)));
        errors.extend(claimed_twice(&plans));
        if errors.is_empty() { Ok(Book::from_plans(plans)) } else { Err(errors) }
    }

    /// From plans already checked (tests, demo). Of two for one number the first wins.
    pub fn from_plans(plans: Vec<Dialplan>) -> Book {
        let mut book = Book { plans: plans.into_iter().map(Arc::new).collect(), ..Book::default() };
        for (index, plan) in book.plans.iter().enumerate() {
            for pattern in &plan.numbers {
                match pattern {
                    NumberPattern::Exact(number) => {
                        book.exact.entry(number.clone()).or_insert(index);
                    }
                    NumberPattern::Prefix(prefix) => book.prefixes.push((prefix.clone(), index)),
                    NumberPattern::Default => {
                        book.default.get_or_insert(index);
                    }
                }
            }
        }
        book.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        book
    }

    /// Exact number, else the longest prefix, else the default. `None` = 404. `number` is data: a map lookup, never a path.
    pub fn lookup(&self, number: &str) -> Option<Arc<Dialplan>> {
        self.find(number).map(|(plan, _)| plan)
    }

    /// Like `lookup`, with the reason. A number without its `+` (or with one too many) still finds its plan, after those
    /// that match as dialled.
    pub fn find(&self, number: &str) -> Option<(Arc<Dialplan>, Match)> {
        let number = normalise(number)?;
        let forms: Vec<String> = std::iter::once(number.clone()).chain(other_form(&number)).collect();
        let exact =
            forms.iter().find_map(|form| self.exact.get(form).map(|index| (*index, Match::Exact(form.clone()))));
        let prefix = || {
            let serves = |prefix: &str| forms.iter().any(|form| form.starts_with(prefix));
            let found = self.prefixes.iter().find(|(prefix, _)| serves(prefix));
            found.map(|(prefix, index)| (*index, Match::Prefix(prefix.clone())))
        };
        let (index, reason) = exact.or_else(prefix).or_else(|| self.default.map(|index| (index, Match::Default)))?;
        self.plans.get(index).map(|plan| (plan.clone(), reason))
    }

    pub fn plans(&self) -> &[Arc<Dialplan>] {
        &self.plans
    }
}

/// The user part of a dialled URI as the book knows it: visual separators (RFC 3966 §5.1.1) of a telephone number and
/// parameters cut off. `None` if it is no number or name at all.
pub fn normalise(dialled: &str) -> Option<String> {
    let user = dialled.split(';').next().unwrap_or("");
    let telephone = user.chars().all(|c| c.is_ascii_digit() || "+-.()*# ".contains(c));
    let number: String = if telephone { user.chars().filter(|c| !"-.() ".contains(*c)).collect() } else { user.into() };
    let bare = number.strip_prefix('+').unwrap_or(&number);
    let valid = |c: char| c.is_ascii_alphanumeric() || "-._*#".contains(c);
    (!bare.is_empty() && number.len() <= MAX_NUMBER && bare.chars().all(valid)).then_some(number)
}

/// With `+` for without, and without for with, if it is long enough for E.164.
fn other_form(number: &str) -> Option<String> {
    match number.strip_prefix('+') {
        Some(digits) => Some(digits.to_owned()),
        None if number.len() >= MIN_E164_DIGITS && number.bytes().all(|b| b.is_ascii_digit()) => {
            Some(format!("+{number}"))
        }
        None => None,
    }
}

/// `*.toml` of the directory by name; hidden files (editors' leavings) are not dialplans.
fn files(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let fail = |error: std::io::Error| {
        let message = format!("cannot be read: {error}. Make the directory, or name another with dialplans = \"…\"");
        At::file(&directory.display().to_string()).error("dialplans", message)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unknown_provider(plan: &Dialplan, settings: &Settings) -> Option<ConfigError> {
    let name = plan.provider.as_deref()?;
    if settings.provider(Some(name)).is_some() {
        return None;
    }
    let known: Vec<&str> = settings.providers.iter().map(|provider| provider.name.as_str()).collect();
    let hint = suggest::hint(name, known.iter().copied());
    let message = format!("\"{name}\" is not a [[provider]] of the settings ({}).{hint}", known.join(", "));
    Some(plan.place_of("provider").error("provider", message))
}

/// Targets that are to be called on a trunk that there is not.
fn unknown_trunks(plan: &Dialplan, settings: &Settings) -> Vec<ConfigError> {
    let trunks = settings.all_trunks();
    let known: Vec<&str> = trunks.iter().map(|trunk| trunk.name.as_str()).collect();
    let named = plan.transfer_targets().filter_map(|target| Some((target, target.leg.as_ref()?.trunk.as_deref()?)));
    let wrong = named.filter(|(_, trunk)| !known.contains(trunk)).map(|(target, trunk)| {
        let hint = suggest::hint(trunk, known.iter().copied());
        let list = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
        let target = &target.name;
        let message = format!(
            "the target \"{target}\" names \"{trunk}\", which is not a [[trunk]] of the settings ({list}).{hint}"
        );
        plan.place_of("tool").error("tool.target.trunk", message)
    });
    wrong.collect()
}

fn claimed_twice(plans: &[Dialplan]) -> Vec<ConfigError> {
    let mut owners: HashMap<&NumberPattern, &Dialplan> = HashMap::new();
    let mut errors = Vec::new();
    for plan in plans {
        for pattern in &plan.numbers {
            if let Some(owner) = owners.insert(pattern, plan) {
                let message = format!("\"{pattern}\" is claimed by {} too: remove it from one", owner.file.display());
                errors.push(plan.place_of("numbers").error("numbers", message));
            }
        }
    }
    errors
}
