//! What the caller does, step by step; pure.
//!
//! In: a tick with what is heard of the agent. Out: the [`Action`]s that are due.

use super::activity::Activity;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One step of a caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Speak; the next step begins when the last sample was sent.
    Play {
        name: String,
        samples: Arc<[i16]>,
    },
    /// Until the agent has spoken for `ms` without a long pause (an interruption comes after it), at most `timeout`.
    AwaitAgentSpeech {
        ms: u32,
        timeout: Duration,
    },
    /// Until the agent has spoken and then been quiet for `ms`, at most `timeout`.
    AwaitAgentSilence {
        ms: u32,
        timeout: Duration,
    },
    Wait(Duration),
    /// Press keys (RFC 4733); the next step begins when the last tone was sent.
    Digits(String),
    /// Hold, and resume after the time.
    Hold(Duration),
    /// Wait for the other side to hang up, at most this long, then hang up.
    AwaitBye(Duration),
    Hangup,
}

/// What a step makes the phone do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Play {
        name: String,
        samples: Arc<[i16]>,
    },
    Digits(String),
    Hold(bool),
    Hangup,
    /// A wait ran into its timeout; the script goes on.
    TimedOut(&'static str),
}

/// What the script is told at each tick.
pub struct Senses<'a> {
    pub agent: &'a Activity,
    pub playing: bool,
    pub sending_digits: bool,
}

/// The steps and where we are in them.
#[derive(Debug)]
pub struct Script {
    steps: std::vec::IntoIter<Step>,
    current: Option<(Step, Instant)>,
}

impl Script {
    pub fn new(steps: Vec<Step>) -> Script {
        Script { steps: steps.into_iter(), current: None }
    }

    /// One tick; at most one action each.
    pub fn tick(&mut self, now: Instant, senses: &Senses<'_>) -> Option<Action> {
        let Some((step, since)) = &self.current else { return self.begin_next(now) };
        let waited = now.saturating_duration_since(*since);
        let (done, action) = match step {
            Step::Play { .. } => (!senses.playing, None),
            Step::Digits(_) => (!senses.sending_digits, None),
            Step::Wait(time) => (waited >= *time, None),
            Step::Hold(time) if waited >= *time => (true, Some(Action::Hold(false))),
            Step::Hold(_) => (false, None),
            Step::AwaitAgentSpeech { ms, timeout } => {
                let done = senses.agent.speaking_ms().is_some_and(|spoken| spoken >= *ms);
                timed(done, waited >= *timeout, "the agent did not speak")
            }
            Step::AwaitAgentSilence { ms, timeout } => {
                let quiet = senses.agent.speaking_ms().is_none() && senses.agent.quiet_after_speech_ms() >= *ms;
                timed(quiet, waited >= *timeout, "the agent was not done speaking")
            }
            Step::AwaitBye(time) => (false, (waited >= *time).then_some(Action::Hangup)),
            Step::Hangup => (false, None),
        };
        if done {
            self.current = None;
        }
        action.or_else(|| if done { self.begin_next(now) } else { None })
    }

    fn begin_next(&mut self, now: Instant) -> Option<Action> {
        let step = self.steps.next()?;
        let action = match &step {
            Step::Play { name, samples } => Some(Action::Play { name: name.clone(), samples: samples.clone() }),
            Step::Digits(digits) => Some(Action::Digits(digits.clone())),
            Step::Hold(_) => Some(Action::Hold(true)),
            Step::Hangup => Some(Action::Hangup),
            _ => None,
        };
        self.current = Some((step, now));
        action
    }
}

fn timed(done: bool, late: bool, what: &'static str) -> (bool, Option<Action>) {
    if done {
        (true, None)
    } else if late {
        (true, Some(Action::TimedOut(what)))
    } else {
        (false, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(20);

    fn loud() -> Vec<i16> {
        (0..160).map(|i| if i % 4 < 2 { 5000 } else { -5000 }).collect()
    }

    #[test]
    fn an_interruption_waits_until_the_agent_has_spoken_long_enough() {
        let clip: Arc<[i16]> = Arc::from(vec![1i16; 160]);
        let mut script = Script::new(vec![
            Step::AwaitAgentSpeech { ms: 100, timeout: Duration::from_secs(5) },
            Step::Play { name: "stop".into(), samples: clip.clone() },
            Step::Hangup,
        ]);
        let mut now = crate::net::clock::now();
        let mut agent = Activity::default();
        let mut actions = Vec::new();
        for tick in 0..20 {
            if tick >= 5 {
                agent.frame(&loud(), 20);
            }
            let playing = tick == 11;
            if let Some(action) = script.tick(now, &Senses { agent: &agent, playing, sending_digits: false }) {
                actions.push((tick, action));
            }
            now += TICK;
        }
        assert_eq!(actions[0].0, 9, "five loud frames are 100 ms");
        assert!(matches!(&actions[0].1, Action::Play { name, .. } if name == "stop"));
        assert_eq!(actions[1].1, Action::Hangup);
        assert_eq!(actions.len(), 2);
    }

    #[test]
    fn a_wait_that_is_never_met_times_out_and_the_script_goes_on() {
        let mut script =
            Script::new(vec![Step::AwaitAgentSilence { ms: 500, timeout: Duration::from_millis(100) }, Step::Hangup]);
        let mut now = crate::net::clock::now();
        let agent = Activity::default();
        let mut actions = Vec::new();
        for _ in 0..10 {
            actions.extend(script.tick(now, &Senses { agent: &agent, playing: false, sending_digits: false }));
            now += TICK;
        }
        assert_eq!(actions, vec![Action::TimedOut("the agent was not done speaking"), Action::Hangup]);
    }

    #[test]
    fn hold_resumes_after_its_time() {
        let mut script = Script::new(vec![Step::Hold(Duration::from_millis(60))]);
        let mut now = crate::net::clock::now();
        let agent = Activity::default();
        let mut actions = Vec::new();
        for tick in 0..6 {
            let senses = Senses { agent: &agent, playing: false, sending_digits: false };
            actions.extend(script.tick(now, &senses).map(|a| (tick, a)));
            now += TICK;
        }
        assert_eq!(actions, vec![(0, Action::Hold(true)), (3, Action::Hold(false))]);
    }
}
