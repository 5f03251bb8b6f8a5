//! The book of numbers: every dialplan of a directory, and which of them serves a dialled number.

use super::ConfigError;
use super::dialplan::Dialplan;
use super::settings::Settings;
use std::path::Path;
use std::sync::Arc;

/// All dialplans of a directory, checked against each other and against the settings.
#[derive(Clone, Debug, Default)]
pub struct Book {
    plans: Vec<Arc<Dialplan>>,
}

impl Book {
    /// Loads `*.toml` of `directory`. Two files for one number, an unknown provider … are errors; all at once.
    pub fn load(directory: &Path, settings: &Settings) -> Result<Book, Vec<ConfigError>> {
        let _ = (directory, settings);
        todo!()
    }
    /// From plans already checked (tests, demo).
    pub fn from_plans(plans: Vec<Dialplan>) -> Book {
        Book { plans: plans.into_iter().map(Arc::new).collect() }
    }
    /// Exact number, else the longest prefix, else the default. `None` = 404. `number` is data: a map lookup, never a path.
    pub fn lookup(&self, number: &str) -> Option<Arc<Dialplan>> {
        let _ = number;
        todo!()
    }
    pub fn plans(&self) -> &[Arc<Dialplan>] {
        &self.plans
    }
}
