//! Whether a Realtime service takes sessions now (OVL-01, R3): after it refused one for its rate or quota, calls that would only be
//! refused again are refused at once, for a moment. Then one call is let through to try.
//!
//! Pure: takes `now`. Holds one entry a provider of the settings, at most.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a service is left alone. Their windows are seconds to a minute; a new try costs them one refused connection.
const HOLD: Duration = Duration::from_secs(5);

/// The services that are left alone.
#[derive(Debug, Default)]
pub struct Quota {
    until: HashMap<String, Instant>,
}

impl Quota {
    /// The service refused a session with 429, or said that a quota is used up.
    pub fn refused(&mut self, now: Instant, provider: &str) {
        self.until.insert(provider.to_owned(), now + HOLD);
    }

    /// Seconds until it is worth another try; `None`: now. The one who gets `None` tries, those that come with it do not.
    pub fn wait(&mut self, now: Instant, provider: &str) -> Option<u32> {
        let until = self.until.get_mut(provider)?;
        if now >= *until {
            *until = now + HOLD;
            return None;
        }
        Some(until.duration_since(now).as_secs() as u32 + 1)
    }

    /// It took a session.
    pub fn served(&mut self, provider: &str) {
        self.until.remove(provider);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    /// OVL-01: a service that refused is left alone, then tried by one call at a time until it serves.
    #[test]
    fn one_call_tries_after_a_refusal() {
        let now = clock::now();
        let mut quota = Quota::default();
        assert_eq!(quota.wait(now, "a"), None);
        quota.refused(now, "a");
        assert_eq!((quota.wait(now, "a"), quota.wait(now, "b")), (Some(6), None));
        let later = now + HOLD;
        assert_eq!((quota.wait(later, "a"), quota.wait(later, "a")), (None, Some(6)));
        quota.served("a");
        assert_eq!(quota.wait(later, "a"), None);
    }
}
