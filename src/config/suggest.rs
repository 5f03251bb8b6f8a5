//! "Did you mean": the nearest of some known words.

/// The candidate within a third of the word's length (at least one, at most three edits), nearest first.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    if word.chars().count() > 64 {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let scored = candidates.into_iter().map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate));
    scored.filter(|(edits, _)| *edits <= allowed).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// ` Did you mean "x"?`, or nothing.
pub fn hint<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    closest(word, candidates).map(|candidate| format!(" Did you mean \"{candidate}\"?")).unwrap_or_default()
}

/// Edits between two words: insert, delete, replace, swap of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_slips_find_the_word_and_strangers_do_not() {
        let known = ["threshold", "prefix_padding_ms", "silence_duration_ms"];
        assert_eq!(closest("treshold", known), Some("threshold"));
        assert_eq!(closest("THRESHOLD", known), Some("threshold"));
        assert_eq!(closest("silence_duration", known), Some("silence_duration_ms"));
        assert_eq!(closest("voice", known), None);
        assert_eq!(closest("", known), None);
        assert_eq!(distance("lokup", "lookup"), 1);
        assert_eq!(distance("sya", "say"), 1);
    }
}
