//! What the model is told about each tool: name, description, and a JSON Schema of its arguments.

use crate::config::dialplan::{Parameter, ParameterKind, Tool, ToolKind, TransferTarget};
use crate::realtime::ToolDefinition;
use serde_json::{Map, Value, json};

/// Longest reason of a hangup, characters. It is for the record only.
const MAX_REASON: usize = 200;

/// The function definitions given to the model, in the dialplan's order.
pub fn definitions(tools: &[Tool]) -> Vec<ToolDefinition> {
    let definition = |tool: &Tool| ToolDefinition {
        name: tool.name.clone(),
        description: description(tool),
        parameters: json_schema(&parameters(tool)),
    };
    tools.iter().map(definition).collect()
}

/// The arguments of a tool of any kind, in one form: the schema and the check are made from the same list.
pub fn parameters(tool: &Tool) -> Vec<Parameter> {
    let parameter = |name: &str, description: &str, kind, required| {
        vec![Parameter { name: name.to_owned(), description: description.to_owned(), kind, required }]
    };
    match &tool.kind {
        ToolKind::Hangup => {
            let kind = ParameterKind::String { max_length: MAX_REASON };
            parameter("reason", "Why the call ends, in a few words, for the record.", kind, false)
        }
        ToolKind::Transfer { targets } => {
            let values = targets.iter().map(|target| target.name.clone()).collect();
            parameter("target", "The destination, by its name.", ParameterKind::Enum { values }, true)
        }
        ToolKind::SendDtmf { max_digits } => {
            let kind = ParameterKind::String { max_length: *max_digits };
            parameter("digits", "The keys to press, in order: 0-9, *, #, A-D.", kind, true)
        }
        ToolKind::CollectDigits(entry) => {
            let kind = ParameterKind::Integer { min: Some(1), max: Some(entry.most as i64) };
            let text = "How many keys are expected, when that is known; the entry ends with the last of them.";
            parameter("count", text, kind, false)
        }
        ToolKind::Http(http) => http.parameters.clone(),
    }
}

/// A transfer's description also says who is behind each name; the URIs stay here.
fn description(tool: &Tool) -> String {
    let ToolKind::Transfer { targets } = &tool.kind else { return tool.description.clone() };
    let line = |target: &TransferTarget| format!("\n- {}: {}", target.name, target.description);
    format!("{}\nDestinations:{}", tool.description, targets.iter().map(line).collect::<String>())
}

fn json_schema(parameters: &[Parameter]) -> Value {
    let property = |parameter: &Parameter| {
        let mut schema = match &parameter.kind {
            ParameterKind::String { max_length } => json!({"type": "string", "maxLength": max_length}),
            ParameterKind::Integer { min, max } => {
                let mut schema = json!({"type": "integer"});
                if let Some(min) = min {
                    schema["minimum"] = json!(min);
                }
                if let Some(max) = max {
                    schema["maximum"] = json!(max);
                }
                schema
            }
            ParameterKind::Number => json!({"type": "number"}),
            ParameterKind::Boolean => json!({"type": "boolean"}),
            ParameterKind::Enum { values } => json!({"type": "string", "enum": values}),
        };
        schema["description"] = json!(parameter.description);
        (parameter.name.clone(), schema)
    };
    let properties: Map<String, Value> = parameters.iter().map(property).collect();
    let required: Vec<&str> =
        parameters.iter().filter(|parameter| parameter.required).map(|parameter| parameter.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
