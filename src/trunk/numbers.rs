//! Numbers as a trunk writes them → E.164, or an extension of the PBX as it is (AUT-11).

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
