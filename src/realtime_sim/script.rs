//! The brain of a scripted session: which reaction answers what.
//!
//! Inputs are noted as they come (a turn, keys, a tool result); the next response takes the most telling one:
//! instructions that a rule or a line fits, then a tool result, then keys, then a turn, then the greeting or the fallback.

use super::scenario::{Action, Reaction, Rule, Scenario, Spoken, words};
use std::sync::Arc;

/// What a response will do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub reaction: Reaction,
    /// For `{digits}`.
    pub digits: String,
}

/// Progress through one scenario.
#[derive(Debug)]
pub struct Script {
    scenario: Arc<Scenario>,
    next_utterance: usize,
    greeted: bool,
    turn: Option<Reaction>,
    digits: Option<String>,
    tool_result: Option<(String, String)>,
}

impl Script {
    pub fn new(scenario: Arc<Scenario>) -> Script {
        Script { scenario, next_utterance: 0, greeted: false, turn: None, digits: None, tool_result: None }
    }
    /// The caller said something. Returns what the scenario expects to have been said.
    pub fn heard_turn(&mut self, interrupting: bool) -> Option<String> {
        let rest = self.scenario.utterances.get(self.next_utterance..).unwrap_or_default();
        let skipped = rest.iter().take_while(|utterance| utterance.only_if_interrupting && !interrupting).count();
        self.next_utterance += skipped;
        match self.scenario.utterances.get(self.next_utterance) {
            Some(utterance) => {
                self.next_utterance += 1;
                self.turn = Some(utterance.reaction.clone());
                utterance.heard.clone()
            }
            None => {
                self.turn = Some(self.scenario.fallback.clone());
                None
            }
        }
    }
    /// A user text item: keys if it has any, else a turn without sound.
    pub fn read_text(&mut self, text: &str) {
        let digits: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#')).collect();
        if digits.is_empty() {
            self.heard_turn(false);
        } else {
            self.digits = Some(digits);
        }
    }
    pub fn tool_result(&mut self, tool: &str, output: &str) {
        self.tool_result = Some((tool.to_owned(), output.to_owned()));
    }
    /// The answer to a turn that the VAD ended.
    pub fn answer_turn(&mut self) -> Answer {
        self.greeted = true;
        Answer { reaction: self.turn.take().unwrap_or_else(|| self.scenario.fallback.clone()), ..Answer::default() }
    }
    /// The answer to a silence.
    pub fn answer_idle(&self) -> Answer {
        Answer { reaction: self.scenario.idle.clone(), ..Answer::default() }
    }
    /// The answer to `response.create`; an out-of-band one leaves what waits alone.
    pub fn answer(&mut self, instructions: Option<&str>, out_of_band: bool) -> Answer {
        let told = instructions.and_then(|text| self.follow(text));
        if out_of_band {
            let reaction = told.unwrap_or_else(|| self.scenario.fallback.clone());
            return Answer { reaction, ..Answer::default() };
        }
        let first = !std::mem::replace(&mut self.greeted, true);
        let (result, keys, turn) = (self.tool_result.take(), self.digits.take(), self.turn.take());
        if let Some(reaction) = told {
            return Answer { reaction, ..Answer::default() };
        }
        if let Some((tool, output)) = result {
            let fits = |rule: &Rule| rule.tool.as_ref().is_none_or(|name| *name == tool) && contains(rule, &output);
            return self.by_rule(&self.scenario.tool_results, fits, String::new());
        }
        if let Some(digits) = keys {
            let fits = |rule: &Rule| rule.contains.iter().all(|wanted| *wanted == digits);
            return self.by_rule(&self.scenario.digits, fits, digits.clone());
        }
        let reaction = match turn {
            Some(reaction) => reaction,
            None if first => self.scenario.greeting.clone(),
            None => self.scenario.fallback.clone(),
        };
        Answer { reaction, ..Answer::default() }
    }

    fn by_rule(&self, rules: &[Rule], fits: impl Fn(&Rule) -> bool, digits: String) -> Answer {
        let rule = rules.iter().find(|rule| fits(rule));
        let reaction = rule.map_or_else(|| self.scenario.fallback.clone(), |rule| rule.reaction.clone());
        Answer { reaction, digits }
    }

    /// What instructions ask for: the lines whose words occur in them, in that order; else the first rule that fits.
    fn follow(&self, instructions: &str) -> Option<Reaction> {
        let said = words(instructions);
        let mut lines = Vec::new();
        let mut at = 0;
        while at < said.len() {
            let fits = |text: &str| {
                let wanted = words(text);
                (wanted.len() > 1 && said.get(at..at + wanted.len()) == Some(&wanted)).then_some(wanted.len())
            };
            let known = self.scenario.lines.iter().enumerate();
            let longest = known.filter_map(|(line, known)| Some((fits(&known.text)?, line))).max();
            let (length, line) = longest.unwrap_or((1, usize::MAX));
            if line != usize::MAX {
                lines.push(Spoken::Line(line));
            }
            at += length;
        }
        if !lines.is_empty() {
            return Some(vec![Action::Say(lines)]);
        }
        let rule = self.scenario.instructions.iter().find(|rule| contains(rule, instructions))?;
        Some(rule.reaction.clone())
    }
}

fn contains(rule: &Rule, text: &str) -> bool {
    let text = words(text).join(" ");
    rule.contains.iter().all(|wanted| text.contains(&words(wanted).join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(script: &Script, answer: &Answer) -> Vec<String> {
        let name = |spoken: &Spoken| match spoken {
            Spoken::Line(at) => script.scenario.lines[*at].name.clone(),
            Spoken::Digits => format!("<{}>", answer.digits),
        };
        let lines = |action: &Action| match action {
            Action::Say(lines) => lines.iter().map(name).collect::<Vec<_>>(),
            other => vec![format!("{other:?}").split_whitespace().next().unwrap_or_default().to_owned()],
        };
        answer.reaction.iter().flat_map(lines).collect()
    }

    #[test]
    fn the_built_in_script_goes_through_its_four_turns() {
        let mut script = Script::new(Arc::new(Scenario::built_in().unwrap()));
        let greeting = script.answer(Some("Greet the caller."), false);
        assert_eq!(said(&script, &greeting), ["greeting"]);
        let mut turn = |interrupting| {
            script.heard_turn(interrupting);
            let answer = script.answer_turn();
            said(&script, &answer)
        };
        assert_eq!(turn(false), ["hours", "long_explanation"]);
        assert_eq!(turn(true), ["go_ahead"]);
        assert_eq!(turn(false), ["look_up", "Call"]);
        assert_eq!(turn(false), ["goodbye", "Call"]);
        assert_eq!(turn(false), ["fallback"]);
    }

    #[test]
    fn a_turn_that_does_not_interrupt_skips_the_interruption() {
        let mut script = Script::new(Arc::new(Scenario::built_in().unwrap()));
        script.heard_turn(false);
        assert_eq!(script.heard_turn(false).as_deref(), Some("Can you book me an appointment for Thursday at three?"));
    }

    #[test]
    fn instructions_pick_the_lines_whose_words_they_carry() {
        let mut script = Script::new(Arc::new(Scenario::built_in().unwrap()));
        let exact =
            script.answer(Some("Say exactly: \"I am connecting you now. Thank you for calling. Goodbye!\""), false);
        assert_eq!(said(&script, &exact), ["connecting", "goodbye"]);
        let loose = script.answer(Some("Ask whether the caller is still there, in one sentence."), true);
        assert_eq!(said(&script, &loose), ["still_there"]);
        let unknown = script.answer(Some("Tell a joke about trunks."), false);
        assert_eq!(said(&script, &unknown), ["fallback"]);
    }

    #[test]
    fn keys_and_tool_results_are_answered_once() {
        let mut script = Script::new(Arc::new(Scenario::built_in().unwrap()));
        script.read_text("The caller pressed 4, 2, #.");
        let keys = script.answer(None, false);
        assert_eq!(said(&script, &keys), ["you_pressed", "<42#>"]);
        script.tool_result("book", r#"{"ok":true}"#);
        let good = script.answer(None, false);
        assert_eq!(said(&script, &good), ["appointment_confirmed", "anything_else"]);
        script.tool_result("book", r#"{"error":"no slot"}"#);
        let bad = script.answer(None, false);
        assert_eq!(said(&script, &bad), ["lookup_failed"]);
        let none = script.answer(None, false);
        assert_eq!(said(&script, &none), ["fallback"]);
    }
}
