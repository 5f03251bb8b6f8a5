//! Reads a scenario file: strict TOML in (unknown fields are errors), checked [`Scenario`] out, problems with line and column.

use super::scenario::{
    Action, Break, Fault, Quirk, Reaction, Rule, Scenario, ServerOptions, Spoken, ToolChoice, Updates, Utterance,
};
use super::speech::{self, Line};
use crate::config::ConfigError;
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    server: RawServer,
    #[serde(default)]
    line: BTreeMap<String, RawLine>,
    #[serde(default)]
    greeting: Vec<Spanned<RawAction>>,
    #[serde(default)]
    utterance: Vec<RawUtterance>,
    #[serde(default)]
    fallback: Vec<Spanned<RawAction>>,
    #[serde(default)]
    digits: Vec<RawRule>,
    #[serde(default)]
    tool_result: Vec<RawRule>,
    #[serde(default)]
    instructions: Vec<RawRule>,
    #[serde(default)]
    idle: Vec<Spanned<RawAction>>,
    #[serde(default)]
    fault: Vec<RawFault>,
    #[serde(default)]
    tools: RawTools,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    after_event: String,
    nth: Option<Spanned<u64>>,
    #[serde(rename = "do")]
    action: Spanned<RawAction>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawServer {
    key: Option<String>,
    models: Vec<String>,
    refuse_http: Vec<Spanned<u16>>,
    connect_delay_ms: Option<Spanned<u64>>,
    updates: Option<Spanned<String>>,
    think_ms: Option<Spanned<u64>>,
    pace: Option<Spanned<f64>>,
    transcribe_ms: Option<Spanned<u64>>,
    expires_after_s: Option<Spanned<u64>>,
    quirks: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    text: String,
    wav: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUtterance {
    heard: Option<String>,
    #[serde(default)]
    only_if_interrupting: bool,
    #[serde(rename = "do")]
    actions: Vec<Spanned<RawAction>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    contains: Vec<String>,
    tool: Option<String>,
    #[serde(rename = "do")]
    actions: Vec<Spanned<RawAction>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawTools {
    avoid: Vec<String>,
    values: Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawAction {
    say: Option<Vec<Spanned<String>>>,
    call: Option<String>,
    arguments: Option<Map<String, Value>>,
    otherwise: Vec<Spanned<String>>,
    delay_ms: Option<Spanned<u64>>,
    fail: Option<String>,
    error: Option<String>,
    message: Option<String>,
    close: Option<Spanned<u16>>,
    reason: Option<String>,
    twice: bool,
    repeat: Option<Spanned<u64>>,
    drop: bool,
    mute: bool,
    send: Option<String>,
    silent: bool,
    stall: bool,
    single_delta: bool,
}

/// Reads a file's text; `name` is for errors, and `wav` paths are relative to its directory.
pub fn read(name: &str, text: &str) -> Result<Scenario, Vec<ConfigError>> {
    let mut reader = Reader { file: name, text, lines: speech::agent_lines().to_vec(), errors: Vec::new() };
    let raw: Raw = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(e) => {
            reader.error(e.span().unwrap_or(0..0), "", e.message());
            return Err(reader.errors);
        }
    };
    let scenario = reader.scenario(raw);
    if reader.errors.is_empty() { Ok(scenario) } else { Err(reader.errors) }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<Line>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn scenario(&mut self, raw: Raw) -> Scenario {
        for (name, line) in raw.line {
            self.own_line(name, line);
        }
        let server = self.server(raw.server);
        let greeting = self.reaction("greeting", raw.greeting);
        let utterances = raw.utterance.into_iter().map(|utterance| Utterance {
            heard: utterance.heard,
            only_if_interrupting: utterance.only_if_interrupting,
            reaction: self.reaction("utterance.do", utterance.actions),
        });
        let utterances = utterances.collect();
        let fallback = self.reaction("fallback", raw.fallback);
        let digits = self.rules("digits", raw.digits);
        let tool_results = self.rules("tool_result", raw.tool_result);
        let instructions = self.rules("instructions", raw.instructions);
        let idle = self.reaction("idle", raw.idle);
        let faults = raw.fault.into_iter().filter_map(|fault| self.fault(fault)).collect();
        Scenario {
            name: raw.name,
            server,
            lines: std::mem::take(&mut self.lines),
            greeting,
            utterances,
            fallback,
            digits,
            tool_results,
            instructions,
            idle,
            faults,
            avoid_tools: raw.tools.avoid,
            argument_values: raw.tools.values,
        }
    }

    fn server(&mut self, raw: RawServer) -> ServerOptions {
        let think_ms = self.bounded("server.think_ms", raw.think_ms, 350, 60_000);
        let connect_delay_ms = self.bounded("server.connect_delay_ms", raw.connect_delay_ms, 0, 600_000);
        for status in raw.refuse_http.iter().filter(|status| !(400..600).contains(status.get_ref())) {
            self.error(status.span(), "server.refuse_http", "must be HTTP statuses from 400 to 599");
        }
        let updates = match raw.updates.as_ref().map(|name| (name.get_ref().as_str(), name.span())) {
            None | Some(("accept", _)) => Updates::Accept,
            Some(("refuse", _)) => Updates::Refuse,
            Some(("ignore", _)) => Updates::Ignore,
            Some((_, span)) => {
                self.error(span, "server.updates", "must be accept, refuse or ignore");
                Updates::Accept
            }
        };
        let transcribe_ms = self.bounded("server.transcribe_ms", raw.transcribe_ms, 400, 60_000);
        let expires_after_s = self.bounded("server.expires_after_s", raw.expires_after_s, 3_600, 86_400);
        let pace = raw.pace.map_or(8.0, |pace| {
            if !(0.1..=1_000.0).contains(pace.get_ref()) {
                self.error(pace.span(), "server.pace", "must be from 0.1 to 1000 (times real time)");
            }
            pace.into_inner()
        });
        let quirks = raw.quirks.into_iter().filter_map(|quirk| self.quirk(&quirk)).collect();
        ServerOptions {
            key: raw.key,
            models: raw.models,
            refuse_http: raw.refuse_http.into_iter().map(Spanned::into_inner).collect(),
            connect_delay: Duration::from_millis(connect_delay_ms),
            updates,
            think: Duration::from_millis(think_ms),
            pace,
            transcribe: Duration::from_millis(transcribe_ms),
            expires_after: Duration::from_secs(expires_after_s),
            quirks,
        }
    }

    fn quirk(&mut self, name: &Spanned<String>) -> Option<Quirk> {
        Some(match name.get_ref().as_str() {
            "conversation-created" => Quirk::ConversationCreated,
            "single-delta" => Quirk::SingleDelta,
            "beta-disabled" => Quirk::BetaDisabled,
            "no-rate-limits" => Quirk::NoRateLimits,
            "no-argument-deltas" => Quirk::NoArgumentDeltas,
            other => {
                let message = format!(
                    "unknown quirk `{other}`; known: conversation-created, single-delta, beta-disabled, no-rate-limits, no-argument-deltas"
                );
                self.error(name.span(), "server.quirks", &message);
                return None;
            }
        })
    }

    fn own_line(&mut self, name: String, line: RawLine) {
        let field = format!("line.{name}.wav");
        let beside = std::path::Path::new(self.file).parent().unwrap_or(std::path::Path::new(""));
        match crate::audio::wav::read_8k_mono(&beside.join(line.wav.get_ref())) {
            Ok(samples) => {
                self.lines.retain(|known| known.name != name);
                self.lines.push(Line { name, text: line.text, samples: samples.into() });
            }
            Err(e) => self.error(line.wav.span(), &field, &e),
        }
    }

    fn rules(&mut self, field: &str, raw: Vec<RawRule>) -> Vec<Rule> {
        let path = format!("{field}.do");
        let rule = |rule: RawRule| Rule {
            contains: rule.contains,
            tool: rule.tool,
            reaction: self.reaction(&path, rule.actions),
        };
        raw.into_iter().map(rule).collect()
    }

    fn reaction(&mut self, field: &str, raw: Vec<Spanned<RawAction>>) -> Reaction {
        raw.into_iter().filter_map(|action| self.action(field, action)).collect()
    }

    fn action(&mut self, field: &str, raw: Spanned<RawAction>) -> Option<Action> {
        let span = raw.span();
        let raw = raw.into_inner();
        let message =
            |what: &str| raw.message.clone().unwrap_or_else(|| format!("{what}, because the scenario says so."));
        let mut found = Vec::new();
        if let Some(lines) = &raw.say {
            found.push(Action::Say(self.spoken(field, lines)));
        }
        if let Some(name) = &raw.call {
            let tool = if name == "*" { ToolChoice::Any } else { ToolChoice::Named(name.clone()) };
            let otherwise = self.spoken(field, &raw.otherwise);
            let arguments = raw.arguments.clone().unwrap_or_default();
            found.push(Action::Call { tool, arguments, otherwise, twice: raw.twice });
        }
        if let Some(delay_ms) = raw.delay_ms {
            let delay_ms = self.bounded(&format!("{field}.delay_ms"), Some(delay_ms), 0, 600_000);
            found.push(Action::Delay(Duration::from_millis(delay_ms)));
        }
        found.extend(raw.fail.clone().map(|code| Action::Fail { code, message: message("The response failed") }));
        found.extend(raw.error.clone().map(|code| Action::Error { code, message: message("An error") }));
        if let Some(code) = raw.close {
            if !(1_000..5_000).contains(code.get_ref()) || [1_005, 1_006, 1_015].contains(code.get_ref()) {
                self.error(
                    code.span(),
                    &format!("{field}.close"),
                    "must be a close code that may be sent, 1000 to 4999",
                );
            }
            let reason = raw.reason.clone().unwrap_or_default();
            found.push(Action::Break(Break::Close { code: code.into_inner(), reason }));
        }
        if let Some(times) = raw.repeat {
            let times = self.bounded(&format!("{field}.repeat"), Some(times), 1, 100);
            found.push(Action::Repeat(times as u32));
        }
        found.extend(raw.send.clone().map(|text| Action::Break(Break::Send(text))));
        let flags = [
            (raw.drop, Action::Break(Break::Drop)),
            (raw.mute, Action::Break(Break::Mute)),
            (raw.silent, Action::Silent),
            (raw.stall, Action::Stall),
            (raw.single_delta, Action::SingleDelta),
        ];
        found.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, action)| action));
        if found.len() != 1 {
            let problem = "one action needs exactly one of say, repeat, call, delay_ms, fail, error, close, drop, mute, send, silent, stall, single_delta";
            self.error(span, field, problem);
            return None;
        }
        found.pop()
    }

    fn fault(&mut self, raw: RawFault) -> Option<Fault> {
        let nth = self.bounded("fault.nth", raw.nth, 1, 1_000_000).max(1) as u32;
        let span = raw.action.span();
        match self.action("fault.do", raw.action)? {
            Action::Break(broken) => Some(Fault { after_event: raw.after_event, nth, broken }),
            _ => {
                self.error(span, "fault.do", "must be one of close, drop, mute, send");
                None
            }
        }
    }

    fn spoken(&mut self, field: &str, names: &[Spanned<String>]) -> Vec<Spoken> {
        let mut spoken = Vec::new();
        for name in names {
            if name.get_ref() == "{digits}" {
                spoken.push(Spoken::Digits);
            } else if let Some(at) = self.lines.iter().position(|line| line.name == *name.get_ref()) {
                spoken.push(Spoken::Line(at));
            } else {
                let known: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
                let problem = format!("no line `{}`; known: {}, {{digits}}", name.get_ref(), known.join(", "));
                self.error(name.span(), field, &problem);
            }
        }
        spoken
    }

    fn bounded(&mut self, field: &str, value: Option<Spanned<u64>>, default: u64, most: u64) -> u64 {
        let Some(value) = value else { return default };
        if *value.get_ref() > most {
            self.error(value.span(), field, &format!("must be at most {most}"));
        }
        value.into_inner()
    }

    fn error(&mut self, span: Range<usize>, field: &str, message: &str) {
        let before = self.text.get(..span.start).unwrap_or_default();
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1,
            field: field.to_owned(),
            message: message.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let errors = read("my.toml", text).expect_err("the file is wrong");
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn the_built_in_scenario_is_valid() {
        let scenario = Scenario::built_in().unwrap();
        assert_eq!(scenario.name, "receptionist");
        assert_eq!(scenario.utterances.len(), 4);
    }

    /// The README names every field: serde lists them when it meets one it does not know.
    #[test]
    fn every_field_is_documented() {
        let readme = include_str!("../../assets/scenarios/README.md");
        let mut fields = 0;
        for place in ["", "[server]", "[line.x]", "[[greeting]]", "[[utterance]]", "[[digits]]", "[[fault]]", "[tools]"]
        {
            let message = problem(&format!("name = \"x\"\n{place}\nunheard_of = 1\n"));
            let (_, known) = message.split_once("expected").unwrap_or_else(|| panic!("{place}: {message}"));
            for field in known.split('`').skip(1).step_by(2) {
                let told = [format!("`{field}`"), format!("`{field} ="), format!("[{field}"), format!("[{field}]")];
                assert!(
                    told.iter().any(|spelling| readme.contains(spelling)),
                    "{place} `{field}` is not in the README"
                );
                fields += 1;
            }
        }
        assert!(fields > 40, "{fields} fields");
    }

    #[test]
    fn problems_name_file_line_column_field_and_what_is_known() {
        let text = "name = \"x\"\n[[greeting]]\nsay = [\"greting\"]\n";
        assert!(
            problem(text).starts_with("my.toml:3:8: greeting: no line `greting`; known: greeting, hours"),
            "{}",
            problem(text)
        );
        assert!(problem("name = \"x\"\ngreting = 1\n").starts_with("my.toml:2:1: unknown field `greting`"));
        let two = "name = \"x\"\n[[idle]]\nsay = [\"hours\"]\ndrop = true\n";
        assert!(problem(two).contains("idle: one action needs exactly one of"), "{}", problem(two));
        let close = "name = \"x\"\n[[idle]]\nclose = 1006\n";
        assert!(problem(close).starts_with("my.toml:3:9: idle.close: must be"), "{}", problem(close));
        let quirks = "name = \"x\"\n[server]\nquirks = [\"odd\"]\npace = 0.0\n";
        assert!(
            problem(quirks).contains("my.toml:4:8: server.pace") && problem(quirks).contains("unknown quirk `odd`")
        );
    }
}
