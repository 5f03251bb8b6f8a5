//! Pure policy: arguments are checked against the schema before anything runs.

use super::ToolAction;
use crate::config::dialplan::Tool;
use crate::realtime::ToolDefinition;

/// The function definitions given to the model, in the dialplan's order.
pub fn definitions(tools: &[Tool]) -> Vec<ToolDefinition> {
    let _ = tools;
    todo!()
}

/// Checks one proposed call. The error is a sentence for the model: what is wrong and what is allowed.
pub fn check(tools: &[Tool], name: &str, arguments: &str) -> Result<ToolAction, String> {
    let _ = (tools, name, arguments);
    todo!()
}
