//! The arguments of one proposed call: JSON text of a model, checked against typed parameters. Strict: what is not listed
//! is refused, so that a model that invents a field learns it instead of believing it had an effect.

use crate::config::dialplan::{Parameter, ParameterKind};
use serde_json::{Map, Value};

/// Integers beyond this are not exact in JSON (RFC 8259 §6).
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Checked arguments: only listed names, only values of their type and range.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    values: Map<String, Value>,
}

impl Arguments {
    /// Reads `text`. Empty text is an empty object (models send it for functions without arguments), and `null` for an
    /// optional argument is its absence. The error is a sentence for the model; it repeats no value.
    pub fn parse(parameters: &[Parameter], text: &str) -> Result<Arguments, String> {
        let parsed = if text.trim().is_empty() { Ok(Value::Object(Map::new())) } else { serde_json::from_str(text) };
        let Ok(Value::Object(given)) = parsed else {
            return Err("The arguments must be one JSON object.".to_owned());
        };
        let mut values = Map::new();
        for (name, value) in given {
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
                let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                return Err(match known.as_slice() {
                    [] => "This tool takes no arguments.".to_owned(),
                    _ => format!("There is an argument that this tool does not have. It has: {}.", known.join(", ")),
                });
            };
            if value.is_null() && !parameter.required {
                continue;
            }
            let value = check(parameter, value)?;
            values.insert(name, value);
        }
        match parameters.iter().find(|parameter| parameter.required && !values.contains_key(&parameter.name)) {
            Some(missing) => Err(format!("The argument \"{}\" is missing: {}", missing.name, missing.description)),
            None => Ok(Arguments { values }),
        }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

fn check(parameter: &Parameter, value: Value) -> Result<Value, String> {
    let name = &parameter.name;
    match (&parameter.kind, value) {
        (ParameterKind::String { max_length }, Value::String(text)) => {
            if text.chars().count() > *max_length {
                return Err(format!("The argument \"{name}\" is too long: at most {max_length} characters."));
            }
            Ok(Value::String(text))
        }
        (ParameterKind::Integer { min, max }, Value::Number(number)) => {
            // 3.0 is an integer in JSON Schema; models write it.
            let whole = |n: f64| (n.fract() == 0.0 && n.abs() < MAX_EXACT).then_some(n as i64);
            let Some(integer) = number.as_i64().or_else(|| number.as_f64().and_then(whole)) else {
                return Err(format!("The argument \"{name}\" must be a whole number."));
            };
            if min.is_some_and(|min| integer < min) || max.is_some_and(|max| integer > max) {
                let from = min.map(|min| format!(" at least {min}")).unwrap_or_default();
                let to = max.map(|max| format!(" at most {max}")).unwrap_or_default();
                let both = if min.is_some() && max.is_some() { " and" } else { "" };
                return Err(format!("The argument \"{name}\" must be{from}{both}{to}."));
            }
            Ok(Value::from(integer))
        }
        (ParameterKind::Number, Value::Number(number)) => Ok(Value::Number(number)),
        (ParameterKind::Boolean, Value::Bool(flag)) => Ok(Value::Bool(flag)),
        (ParameterKind::Enum { values }, Value::String(text)) => {
            if values.contains(&text) {
                return Ok(Value::String(text));
            }
            Err(format!("The argument \"{name}\" must be one of: {}.", values.join(", ")))
        }
        (kind, _) => {
            let expected = match kind {
                ParameterKind::String { .. } | ParameterKind::Enum { .. } => "text",
                ParameterKind::Integer { .. } => "a whole number",
                ParameterKind::Number => "a number",
                ParameterKind::Boolean => "true or false",
            };
            Err(format!("The argument \"{name}\" must be {expected}."))
        }
    }
}
