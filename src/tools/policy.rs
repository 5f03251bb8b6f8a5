//! Pure policy: arguments are checked against the schema before anything runs.
//!
//! In: the dialplan's tools, and the name and arguments a model proposed. Out: an action that the dialplan allows, or a
//! sentence for the model. Nothing the model writes can be more than a choice or a value in a fixed place.

use super::arguments::Arguments;
pub use super::schema::definitions;
use super::{KeyEntry, ToolAction};
use super::{request, schema};
use crate::config::dialplan::{Tool, ToolKind, TransferTarget};
use serde_json::Value;

/// Largest arguments text, bytes.
pub const MAX_ARGUMENTS_BYTES: usize = 16 * 1024;

/// Checks one proposed call. The error is a sentence for the model: what is wrong and what is allowed.
pub fn check(tools: &[Tool], name: &str, arguments: &str) -> Result<ToolAction, String> {
    let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
        let known: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        return Err(if known.is_empty() {
            "There are no tools in this call.".to_owned()
        } else {
            format!("There is no tool of that name. The tools are: {}.", known.join(", "))
        });
    };
    if arguments.len() > MAX_ARGUMENTS_BYTES {
        return Err(format!("The arguments are too long: at most {MAX_ARGUMENTS_BYTES} bytes."));
    }
    let arguments = Arguments::parse(&schema::parameters(tool), arguments)?;
    match &tool.kind {
        ToolKind::Hangup => Ok(ToolAction::Hangup { reason: arguments.text("reason").map(str::to_owned) }),
        ToolKind::Transfer { targets } => transfer(targets, &arguments),
        ToolKind::SendDtmf { max_digits } => send_dtmf(*max_digits, &arguments),
        ToolKind::CollectDigits(entry) => {
            let wanted = arguments.get("count").and_then(Value::as_u64).map_or(entry.most, |count| count as usize);
            Ok(ToolAction::CollectDigits(KeyEntry { most: wanted.min(entry.most), ..*entry }))
        }
        ToolKind::Http(http) => request::build(http, &arguments).map(ToolAction::Http),
    }
}

/// A tool that wants a verified caller is refused to any other: a caller's number is a hint, not a proof (A14).
pub fn check_caller(tools: &[Tool], name: &str, verified: bool) -> Result<(), String> {
    if !verified && tools.iter().any(|tool| tool.name == name && tool.requires_verified_caller) {
        return Err(
            "The telephone network does not vouch for this caller's number, so this tool cannot be used in this \
                    call. Offer another way, like a transfer to a person."
                .to_owned(),
        );
    }
    Ok(())
}

fn transfer(targets: &[TransferTarget], arguments: &Arguments) -> Result<ToolAction, String> {
    let wanted = arguments.text("target").unwrap_or("");
    match targets.iter().find(|target| target.name == wanted) {
        Some(target) => Ok(ToolAction::Transfer { target: target.name.clone(), uri: target.uri.clone() }),
        // The schema's enum refuses this before; the list is what decides.
        None => Err("That is not a destination of this number.".to_owned()),
    }
}

/// The keys of RFC 4733 §3.2, upper case.
fn send_dtmf(max_digits: usize, arguments: &Arguments) -> Result<ToolAction, String> {
    let digits = arguments.text("digits").unwrap_or("").to_ascii_uppercase();
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || "*#ABCD".contains(c)) {
        return Err("\"digits\" may only have the keys 0-9, *, #, A-D, and at least one.".to_owned());
    }
    if digits.len() > max_digits {
        return Err(format!("\"digits\" has {} keys; the most is {max_digits}.", digits.len()));
    }
    Ok(ToolAction::SendDtmf { digits })
}

#[cfg(test)]
mod tests;
