//! Ready-made trunks: what a carrier or PBX wants, as defaults that each field of `[[trunk]]` can override.
//!
//! A profile is a piece of settings, written as an operator would: the file says why beside each line. Addresses are in none
//! (carriers change them, and a list that is out of date lets strangers in), secrets neither. In: a name. Out: the text.

/// One profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    /// The fields of one `[[trunk]]`, as TOML without the heading.
    pub toml: &'static str,
}

impl Profile {
    /// What it is for: the first line of its text.
    pub fn about(&self) -> &'static str {
        self.toml.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}

macro_rules! profiles {
    ($($name:literal),* $(,)?) => {
        [$(Profile { name: $name, toml: include_str!(concat!("profiles/", $name, ".toml")) }),*]
    };
}

/// All of them, by name.
pub const PROFILES: [Profile; 13] = profiles![
    "3cx",
    "asterisk",
    "cisco",
    "easybell",
    "freeswitch",
    "fritzbox",
    "kamailio",
    "livekit",
    "teams",
    "telekom",
    "telnyx",
    "twilio",
    "whatsapp",
];

/// The profile of a name.
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_name_and_say_what_they_are_for() {
        assert!(PROFILES.is_sorted_by_key(|profile| profile.name));
        for profile in &PROFILES {
            assert_eq!(find(profile.name), Some(profile));
            assert!(profile.about().len() > 10, "{}: {:?}", profile.name, profile.about());
        }
        assert_eq!(find("carrier-of-nowhere"), None);
    }
}
