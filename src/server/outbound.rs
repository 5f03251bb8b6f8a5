//! Where a call or request of ours goes, and as whom (pure): the order of targets, the From, the hops that are left.
//!
//! A trunk with targets gets its calls there, whatever host the number was written with: the targets that are up first. Without any, the
//! host of the URI counts, and a bare number goes back to where the caller's INVITE came from.

use crate::sip::{Flow, TrunkId};

/// RFC 3261 §8.1.1.6.
pub const MAX_FORWARDS: u32 = 70;

/// All that a request needs besides its own content.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    pub trunk: TrunkId,
    /// Best first; never empty.
    pub flows: Vec<Flow>,
    /// From value, without tag.
    pub from: String,
    /// DLG-16: those of the caller's INVITE minus one.
    pub max_forwards: u32,
    /// The trunk takes REFER.
    pub refer: bool,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWay {
    /// No trunk has that name.
    UnknownTrunk(String),
    /// Neither the trunk nor the URI says where to.
    NoTarget,
    /// DNS knows no address; what it said.
    Unresolved(String),
    /// The trunk does not use the transports that the targets ask for.
    NoTransport,
    /// The caller's INVITE had no hops left (DLG-16): a loop through us ends here.
    TooManyHops,
    /// The call ended meanwhile.
    CallGone,
}

impl NoWay {
    /// What the call is told, as if the INVITE had got it.
    pub fn status(&self) -> u16 {
        match self {
            NoWay::TooManyHops => 483,
            NoWay::UnknownTrunk(_) | NoWay::NoTarget => 404,
            NoWay::Unresolved(_) | NoWay::NoTransport | NoWay::CallGone => 503,
        }
    }
}

impl std::fmt::Display for NoWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoWay::UnknownTrunk(name) => {
                write!(f, "no trunk is called \"{name}\": see `voxtrunk trunks` for the names")
            }
            NoWay::NoTarget => f.write_str("it has no host and its trunk no target: add `targets` to the trunk"),
            NoWay::Unresolved(why) => write!(f, "its name has no address ({why}): check the name and the DNS server"),
            NoWay::NoTransport => {
                f.write_str("the trunk does not use the transport its target asks for: see `transports`")
            }
            NoWay::TooManyHops => f.write_str("the call has passed too many servers (Max-Forwards): look for a loop"),
            NoWay::CallGone => f.write_str("the call is over"),
        }
    }
}

/// Max-Forwards of an INVITE that is sent because of one with `caller`'s.
pub fn hops(caller: u32) -> Result<u32, NoWay> {
    caller.min(MAX_FORWARDS).checked_sub(1).filter(|left| *left > 0).ok_or(NoWay::TooManyHops)
}

/// The From value of a call of ours: `caller` where the trunk may show it, else ourselves.
pub fn from_value(own: &str, caller: Option<&str>, host: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#' | '-' | '_' | '.');
    let shown = caller.filter(|caller| !caller.is_empty() && caller.len() <= 64 && caller.chars().all(plain));
    let user = shown.unwrap_or(own);
    match user {
        "" => format!("<sip:{host}>"),
        user => format!("<sip:{}@{host}>", user.replace('#', "%23")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::headers::NameAddr;

    /// DLG-16: one hop less each time, and none at all is 483.
    #[test]
    fn a_loop_runs_out_of_hops() {
        let mut left = 70;
        let mut legs = 0;
        while let Ok(next) = hops(left) {
            (left, legs) = (next, legs + 1);
        }
        assert_eq!(legs, 69);
        assert_eq!(hops(0).unwrap_err().status(), 483);
        assert_eq!(hops(1).unwrap_err().status(), 483);
        assert_eq!(hops(u32::MAX), Ok(69), "nobody gives us more than we would take");
    }

    /// A13: nothing but a number or plain name gets into the From header.
    #[test]
    fn a_callers_name_is_written_only_if_it_is_plain() {
        assert_eq!(from_value("voxtrunk", Some("+4930123"), "192.0.2.1:5060"), "<sip:+4930123@192.0.2.1:5060>");
        assert_eq!(from_value("voxtrunk", Some("*21#"), "h"), "<sip:*21%23@h>");
        for hostile in ["a>\r\nX: y", "a@evil", "", "a b", "\u{e9}", &"9".repeat(65)] {
            assert_eq!(from_value("voxtrunk", Some(hostile), "h"), "<sip:voxtrunk@h>", "{hostile:?}");
        }
        assert!(NameAddr::parse(&from_value("", None, "192.0.2.1")).is_ok());
    }
}
