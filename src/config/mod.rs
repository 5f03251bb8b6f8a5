//! Configuration: raw files in, checked values out. Everything else gets only checked values.
//!
//! `settings`: the server (crate `config`: file + `VOXTRUNK__…` environment). `dialplan`: one TOML file a number, with
//! spans in every error. `book`: lookup by dialled number. `secret`: values that never print.
//!
//! How a file is read: `document` parses TOML and keeps the place of every value, `layers` lays the environment over it
//! (settings only), `fields` reads field by field and collects every problem, `network`, `url` and `secret` check values.

pub mod book;
pub mod dialplan;
pub mod document;
pub mod fields;
mod layers;
pub mod network;
pub mod secret;
pub mod settings;
mod suggest;
pub mod url;

use std::io::Read;
use std::path::Path;

/// One problem in a file: what, where, and what to do next. Printed as `file:line:column: field: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub file: String,
    /// From 1; 0 = the whole file (or the environment).
    pub line: usize,
    pub column: usize,
    /// Dotted path of the field, empty if none.
    pub field: String,
    pub message: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}
impl std::error::Error for ConfigError {}

/// Reads a whole text file, but never more than `max_bytes` of it.
fn read_text(path: &Path, max_bytes: u64) -> Result<String, ConfigError> {
    let name = path.display().to_string();
    let fail = |message: String| document::At::file(&name).error("", message);
    let file = std::fs::File::open(path)
        .map_err(|error| fail(format!("cannot be opened: {error}. Check the path and the permissions")))?;
    let mut bytes = Vec::new();
    let mut limited = file.take(max_bytes + 1);
    limited.read_to_end(&mut bytes).map_err(|error| fail(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > max_bytes {
        return Err(fail(format!("is larger than {} KiB", max_bytes / 1024)));
    }
    String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text: save it as UTF-8".to_owned()))
}
