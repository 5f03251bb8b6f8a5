//! Temporary directories with files, and errors as the text an operator sees.

use std::path::{Path, PathBuf};
use voxtrunk::config::ConfigError;

pub struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    pub fn new(files: &[(&str, &str)]) -> Files {
        let world = Files { directory: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            std::fs::write(world.path(name), text).unwrap();
        }
        world
    }
    pub fn root(&self) -> &Path {
        self.directory.path()
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    /// Errors without the directory's name.
    pub fn lines<T>(&self, result: Result<T, Vec<ConfigError>>) -> Vec<String> {
        let root = format!("{}/", self.root().display());
        result.err().unwrap_or_default().iter().map(|error| error.to_string().replace(&root, "")).collect()
    }
}

/// The repository's own files.
pub fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub const MINIMAL: &str = "numbers = [\"200\"]\ninstructions = \"Be brief.\"\ngreeting = \"none\"\n";
