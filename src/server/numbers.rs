//! The book of numbers with everything its plans need from the disk, read before a call can ask for it.

use crate::audio::wav;
use crate::config::book::Book;
use crate::config::dialplan::{Dialplan, Fallback};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A book, ready to use.
#[derive(Debug, Default)]
pub struct Numbers {
    book: Book,
    /// 8 kHz mono samples of each apology file.
    apologies: HashMap<PathBuf, Arc<[i16]>>,
}

impl Numbers {
    /// Reads the apology WAVs; all problems at once, each naming its dialplan and file.
    pub fn new(book: Book) -> Result<Numbers, Vec<String>> {
        let mut apologies = HashMap::new();
        let mut problems = Vec::new();
        for plan in book.plans() {
            let Fallback::Apology { wav: Some(path) } = &plan.fallback else { continue };
            match wav::read_8k_mono(path) {
                Ok(samples) => {
                    apologies.insert(path.clone(), samples.into());
                }
                Err(error) => problems.push(format!("{}: fallback: {error}", plan.file.display())),
            }
        }
        if problems.is_empty() { Ok(Numbers { book, apologies }) } else { Err(problems) }
    }

    /// The plan of a dialled number; `None` = 404.
    pub fn lookup(&self, dialled: &str) -> Option<Arc<Dialplan>> {
        self.book.lookup(dialled)
    }

    /// The plan's own apology; `None` = the built-in one.
    pub fn apology(&self, plan: &Dialplan) -> Option<Arc<[i16]>> {
        match &plan.fallback {
            Fallback::Apology { wav: Some(path) } => self.apologies.get(path).cloned(),
            _ => None,
        }
    }
}
