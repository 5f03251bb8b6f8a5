//! From a reaction to what one response will send: spoken parts with their samples and words, function calls with arguments.

use super::scenario::{Action, Break, Scenario, Spoken, ToolChoice};
use super::script::Answer;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Silence between two lines of a message, and between digits (8 kHz samples).
const GAP: usize = 250 * 8;
const DIGIT_GAP: usize = 60 * 8;

/// One output item of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Speech {
        text: String,
        samples: Vec<i16>,
    },
    Call {
        name: String,
        arguments: String,
    },
    /// The call before once more: a new item, the same call id.
    SameCall,
}

/// How the scenario wants a response to go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    Fail { code: String, message: String },
    Break(Break),
    Stall,
}

/// What a response will do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub parts: Vec<Part>,
    pub delay: Option<Duration>,
    /// Sent before the response: code, message.
    pub errors: Vec<(String, String)>,
    /// Comes after the parts.
    pub trouble: Option<Trouble>,
    pub silent: bool,
    pub single_delta: bool,
}

/// Works an answer out against the tools that are offered and the tool choice.
pub fn plan(answer: &Answer, scenario: &Scenario, tools: &[Value], choice: &Value) -> Plan {
    let mut plan = Plan::default();
    if let Some(tool) = forced(tools, choice) {
        plan.parts.push(call(tool, &Map::new(), scenario));
        return plan;
    }
    let mut spoken: Vec<Spoken> = Vec::new();
    for action in &answer.reaction {
        match action {
            Action::Say(lines) => spoken.extend(lines.iter().cloned()),
            Action::Call { tool, arguments, otherwise, twice } => match pick(tool, scenario, tools, choice) {
                Some(tool) => {
                    plan.parts.extend(speech(&std::mem::take(&mut spoken), answer, scenario));
                    plan.parts.push(call(tool, arguments, scenario));
                    plan.parts.extend(twice.then_some(Part::SameCall));
                }
                None => spoken.extend(otherwise.iter().cloned()),
            },
            Action::Delay(delay) => plan.delay = Some(*delay),
            Action::Fail { code, message } => {
                plan.trouble = Some(Trouble::Fail { code: code.clone(), message: message.clone() });
            }
            Action::Error { code, message } => plan.errors.push((code.clone(), message.clone())),
            Action::Break(broken) => plan.trouble = Some(Trouble::Break(broken.clone())),
            Action::Repeat(times) => spoken = spoken.repeat(*times as usize),
            Action::Stall => plan.trouble = Some(Trouble::Stall),
            Action::Silent => plan.silent = true,
            Action::SingleDelta => plan.single_delta = true,
        }
    }
    plan.parts.extend(speech(&spoken, answer, scenario));
    plan
}

fn speech(spoken: &[Spoken], answer: &Answer, scenario: &Scenario) -> Option<Part> {
    let mut words = Vec::new();
    let mut samples: Vec<i16> = Vec::new();
    let line = |name: &str| scenario.lines.iter().find(|line| line.name == name);
    for item in spoken {
        let (lines, gap) = match item {
            Spoken::Line(at) => (scenario.lines.get(*at).into_iter().collect(), GAP),
            Spoken::Digits => {
                (answer.digits.chars().filter_map(|digit| line(clip(digit))).collect::<Vec<_>>(), DIGIT_GAP)
            }
        };
        for line in lines {
            if !samples.is_empty() {
                samples.resize(samples.len() + gap, 0);
            }
            samples.extend_from_slice(&line.samples);
            words.push(line.text.as_str());
        }
    }
    (!samples.is_empty()).then(|| Part::Speech { text: words.join(" "), samples })
}

fn clip(digit: char) -> &'static str {
    const DIGITS: [&str; 10] =
        ["digit_0", "digit_1", "digit_2", "digit_3", "digit_4", "digit_5", "digit_6", "digit_7", "digit_8", "digit_9"];
    match digit.to_digit(10).and_then(|at| DIGITS.get(at as usize)) {
        Some(name) => name,
        None if digit == '*' => "digit_star",
        None => "digit_pound",
    }
}

fn name_of(tool: &Value) -> Option<&str> {
    (tool["type"] == "function").then(|| tool["name"].as_str()).flatten()
}

/// A function the client insists on.
fn forced<'a>(tools: &'a [Value], choice: &Value) -> Option<&'a Value> {
    match choice.as_str() {
        Some("required") => tools.iter().find(|tool| name_of(tool).is_some()),
        Some(_) => None,
        None => tools.iter().find(|tool| name_of(tool).is_some_and(|name| choice["name"] == name)),
    }
}

fn pick<'a>(wanted: &ToolChoice, scenario: &Scenario, tools: &'a [Value], choice: &Value) -> Option<&'a Value> {
    if *choice == "none" {
        return None;
    }
    tools.iter().find(|tool| {
        name_of(tool).is_some_and(|name| match wanted {
            ToolChoice::Named(wanted) => wanted == name,
            ToolChoice::Any => !scenario.avoid_tools.iter().any(|avoid| avoid == name),
        })
    })
}

fn call(tool: &Value, given: &Map<String, Value>, scenario: &Scenario) -> Part {
    let mut arguments = given.clone();
    let schema = &tool["parameters"];
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !arguments.contains_key(name) {
            let known = scenario.argument_values.get(name).filter(|value| fits(value, &schema["properties"][name]));
            let value = known.cloned().unwrap_or_else(|| example(&schema["properties"][name]));
            arguments.insert(name.to_owned(), value);
        }
    }
    Part::Call { name: name_of(tool).unwrap_or_default().to_owned(), arguments: Value::Object(arguments).to_string() }
}

fn fits(value: &Value, schema: &Value) -> bool {
    let kind = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    kind && schema["enum"].as_array().is_none_or(|values| values.contains(value))
}

/// A value that a JSON Schema takes, without looking at more than type, enum, const, default and minimum.
fn example(schema: &Value) -> Value {
    let fixed = ["const", "default"].iter().find_map(|name| schema.get(name));
    if let Some(value) = fixed.or_else(|| schema["enum"].as_array().and_then(|values| values.first())) {
        return value.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("example"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, parameters: Value) -> Value {
        json!({"type": "function", "name": name, "parameters": parameters})
    }
    fn booking() -> Answer {
        let reaction = vec![
            Action::Say(vec![Spoken::Line(4)]),
            Action::Call {
                tool: ToolChoice::Any,
                arguments: Map::new(),
                otherwise: vec![Spoken::Line(5)],
                twice: false,
            },
        ];
        Answer { reaction, digits: String::new() }
    }

    #[test]
    fn a_call_takes_an_offered_tool_and_fills_what_its_schema_requires() {
        let scenario = Scenario::built_in().unwrap();
        let schema = json!({"type": "object", "required": ["date", "time", "people", "kind"], "properties": {
            "date": {"type": "string"}, "time": {"type": "integer"}, "people": {"type": "integer", "minimum": 2},
            "kind": {"type": "string", "enum": ["check-up"]}}});
        let tools = [tool("hangup", json!({})), tool("book", schema)];
        let plan = plan(&booking(), &scenario, &tools, &json!("auto"));
        let [Part::Speech { text, .. }, Part::Call { name, arguments }] = &plan.parts[..] else { panic!("{plan:?}") };
        assert_eq!((text.as_str(), name.as_str()), ("Let me look that up for you.", "book"));
        let expected = json!({"date": "Thursday", "time": 1, "people": 2, "kind": "check-up"});
        assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), expected);
    }

    #[test]
    fn without_a_tool_the_words_go_on() {
        let scenario = Scenario::built_in().unwrap();
        for (tools, choice) in [(vec![tool("hangup", json!({}))], "auto"), (vec![tool("book", json!({}))], "none")] {
            let plan = plan(&booking(), &scenario, &tools, &json!(choice));
            let [Part::Speech { text, .. }] = &plan.parts[..] else { panic!("{plan:?}") };
            assert_eq!(text, "Let me look that up for you. Your appointment on Thursday at three is confirmed.");
        }
    }
}
