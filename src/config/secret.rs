//! Secrets by reference: `env:NAME` or `file:/path`. The value never prints.

use std::io::Read;

/// Longest secret read from a file, bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

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
    /// The error never repeats the text: it may be the key itself.
    pub fn parse(text: &str) -> Result<SecretRef, String> {
        if let Some(name) = text.strip_prefix("env:") {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("\"env:\" must be followed by the name of an environment variable, \
                            like \"env:OPENAI_API_KEY\""
                    .into());
            }
            return Ok(SecretRef::Env(name.to_owned()));
        }
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() || path.contains('\0') {
                return Err("\"file:\" must be followed by a path, like \"file:/run/secrets/openai\"".into());
            }
            return Ok(SecretRef::File(path.into()));
        }
        Err("a secret is never written here: put it into an environment variable or a file and refer to it, \
             as \"env:NAME\" or \"file:/path\""
            .into())
    }

    /// Reads it now. The error names the variable or file, never a value. White space around the value is cut off.
    pub fn resolve(&self) -> Result<Secret, String> {
        let value = match self {
            SecretRef::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => format!("environment variable {name} is not set"),
                std::env::VarError::NotUnicode(_) => format!("environment variable {name} is not UTF-8 text"),
            })?,
            SecretRef::File(path) => {
                let fail = |what: &str| format!("secret file {}: {what}", path.display());
                let file = std::fs::File::open(path).map_err(|error| fail(&error.to_string()))?;
                let mut text = String::new();
                let mut limited = file.take(MAX_SECRET_BYTES + 1);
                limited.read_to_string(&mut text).map_err(|_| fail("cannot be read as UTF-8 text"))?;
                if text.len() as u64 > MAX_SECRET_BYTES {
                    return Err(fail("is larger than 64 KiB"));
                }
                text
            }
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(format!("{self} is empty"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("{self} contains control characters (is it one line?)"));
        }
        Ok(Secret(value.to_owned()))
    }
}

impl std::fmt::Display for SecretRef {
    /// As it is written in a file; the name, never the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn references_are_understood_and_literals_refused_without_repeating_them() {
        assert_eq!(SecretRef::parse("env:OPENAI_API_KEY"), Ok(SecretRef::Env("OPENAI_API_KEY".into())));
        assert_eq!(SecretRef::parse("file:/run/k"), Ok(SecretRef::File("/run/k".into())));
        for bad in ["sk-canary-123", "env:", "env:A B", "env:1A", "file:", "ENV:X", ""] {
            let error = SecretRef::parse(bad).expect_err(bad);
            assert!(!error.contains("canary"), "{error}");
            assert!(error.contains("env:") || error.contains("file:"), "{error}");
        }
    }

    /// G11: a secret prints as stars, and errors name the place only.
    #[test]
    fn a_secret_is_read_from_its_file_and_never_printed() {
        let mut file = tempfile::NamedTempFile::new().expect("temp file");
        writeln!(file, "  canary-7f3a  ").expect("write");
        let reference = SecretRef::File(file.path().into());
        let secret = reference.resolve().expect("readable");
        assert_eq!(secret.expose(), "canary-7f3a");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert!(!format!("{reference} {reference:?}").contains("canary"));

        file.write_all(b"second line canary").expect("write");
        let error = reference.resolve().expect_err("two lines");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn missing_secrets_are_named() {
        let error = SecretRef::Env("VOXTRUNK_TEST_NOT_SET".into()).resolve().expect_err("not set");
        assert_eq!(error, "environment variable VOXTRUNK_TEST_NOT_SET is not set");
        let error = SecretRef::File("/nonexistent/key".into()).resolve().expect_err("no file");
        assert!(error.starts_with("secret file /nonexistent/key: "), "{error}");
    }
}
