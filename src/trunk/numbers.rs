//! Numbers as a trunk writes them → E.164, or an extension of the PBX as it is (AUT-11).
//!
//! In: a user part, decoded. Out: a text of `+0-9*#` (or a name of letters, digits, `-._`), at most 64 characters, fit for a look-up
//! in a map and for nothing else (A19). One pass, no patterns; a second pass changes nothing.

/// Longest text looked at, bytes; beyond, it is no number.
const MAX_INPUT: usize = 256;
/// Longest number or name.
const MAX_NUMBER: usize = 64;
/// E.164: digits of a whole number.
const MAX_E164: usize = 15;
/// Digits behind a country code from which a number without plus is taken for an international one.
const MIN_NATIONAL: usize = 8;

/// How numbers are written on a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRules {
    /// Country code without plus, like `49`; `None`: numbers stay as they are written.
    pub country: Option<String>,
    /// Prefix of national numbers (`0`; none in North America).
    pub national_prefix: String,
    /// Prefixes of international numbers (`00`, `011`).
    pub international_prefixes: Vec<String>,
    /// Numbers up to this many digits are extensions and stay as they are.
    pub extension_digits: usize,
}

impl NumberRules {
    /// The number as dialplans know it; `None` if the text is neither number nor name.
    pub fn normalise(&self, text: &str) -> Option<String> {
        let bare = bare(text)?;
        match self.e164(&bare) {
            Some(number) if number.len() <= MAX_E164 + 1 => Some(number),
            _ => Some(bare),
        }
    }

    /// `None`: it stays as it is.
    fn e164(&self, number: &str) -> Option<String> {
        let country = self.country.as_deref()?;
        if number.len() <= self.extension_digits || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let prefixes = self.international_prefixes.iter().filter(|prefix| !prefix.is_empty());
        let international = prefixes.filter_map(|prefix| number.strip_prefix(prefix.as_str()));
        // The longest prefix leaves the least.
        if let Some(rest) = international.min_by_key(|rest| rest.len()).filter(|rest| !rest.is_empty()) {
            return Some(format!("+{rest}"));
        }
        if !self.national_prefix.is_empty() {
            if let Some(rest) = number.strip_prefix(self.national_prefix.as_str()).filter(|rest| !rest.is_empty()) {
                return Some(format!("+{country}{rest}"));
            }
            // Without prefix: with the country code, as many trunks send it, or a local number that nobody can complete.
            return starts_with_country(number, country).then(|| format!("+{number}"));
        }
        if country == "1" {
            // North America: ten digits are national, eleven begin with the country code.
            return match number.len() {
                10 => Some(format!("+1{number}")),
                11 if number.starts_with('1') => Some(format!("+{number}")),
                _ => None,
            };
        }
        if starts_with_country(number, country) {
            return Some(format!("+{number}"));
        }
        (number.len() >= MIN_NATIONAL - 1).then(|| format!("+{country}{number}"))
    }
}

fn starts_with_country(number: &str, country: &str) -> bool {
    number.strip_prefix(country).is_some_and(|rest| rest.len() >= MIN_NATIONAL)
}

/// Parameters and visual separators cut off (RFC 3966 §5.1.1), checked.
fn bare(text: &str) -> Option<String> {
    if text.len() > MAX_INPUT {
        return None;
    }
    let user = text.split(';').next().unwrap_or_default().trim();
    let telephone = user.chars().all(|c| c.is_ascii_digit() || "+-.()*# ".contains(c));
    let number = if telephone {
        // `+49 (0)30 …`: the zero in brackets is for callers within the country.
        let user = if user.starts_with('+') { user.replacen("(0)", "", 1) } else { user.to_owned() };
        user.chars().filter(|c| !"-.() ".contains(*c)).collect()
    } else {
        user.to_owned()
    };
    let plain = number.strip_prefix('+').unwrap_or(&number);
    let valid = |c: char| c.is_ascii_alphanumeric() || "-._*#".contains(c);
    (!plain.is_empty() && number.len() <= MAX_NUMBER && plain.chars().all(valid)).then_some(number)
}

#[cfg(test)]
mod tests;
