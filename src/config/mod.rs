//! Configuration: raw files in, checked values out. Everything else gets only checked values.
//!
//! `settings`: the server (crate `config`: file + `VOXTRUNK__…` environment). `dialplan`: one TOML file a number, with
//! spans in every error. `book`: lookup by dialled number. `secret`: values that never print.

pub mod book;
pub mod dialplan;
pub mod secret;
pub mod settings;

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
