//! Caller data. Shows itself only where asked by name.

/// A value that belongs to the caller (number, name, digits, words). `Debug`/`Display` mask it; CDR and transcripts use [`Pii::expose`].
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Pii<T>(pub T);

impl<T> Pii<T> {
    pub fn expose(&self) -> &T {
        &self.0
    }
}
impl<T> std::fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<pii>")
    }
}
impl<T> std::fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<pii>")
    }
}
