//! Secrets by reference: `env:NAME` or `file:/path`. The value never prints.

/// A secret value. `Debug` and `Display` show `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: String) -> Secret {
        Secret(value)
    }
    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    Env(String),
    File(std::path::PathBuf),
}

impl SecretRef {
    /// `env:NAME` or `file:PATH`; anything else is an error that says so (a literal key in a file is refused).
    pub fn parse(text: &str) -> Result<SecretRef, String> {
        let _ = text;
        todo!()
    }
    /// Reads it now. The error names the variable or file, never a value.
    pub fn resolve(&self) -> Result<Secret, String> {
        todo!()
    }
}
