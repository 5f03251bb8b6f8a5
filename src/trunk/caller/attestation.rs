//! How sure the network is of the number (AUT-12): verstat (3GPP TS 24.229 §7.2A.20) with its level, else the claim of an Identity
//! header (RFC 8224), which nobody here has verified and which is marked so.

use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;

/// Largest token looked at, bytes.
const MAX_TOKEN: usize = 8 * 1024;

pub fn read(identity: Option<&NameAddr>, invite: &Message) -> Option<String> {
    let verstat = identity.and_then(verstat);
    let level = attestation_header(invite).or_else(|| identity_attest(invite));
    match verstat {
        Some(word) => {
            let word = word.to_ascii_lowercase();
            match word.strip_prefix("tn-validation-passed") {
                Some("") => Some(level.map_or_else(|| "TN-Validation-Passed".to_owned(), |l| l.to_string())),
                Some(rest) => rest.strip_prefix('-').and_then(letter).map(|l| l.to_string()),
                None if word.starts_with("tn-validation-failed") => Some("TN-Validation-Failed".to_owned()),
                None => Some("No-TN-Validation".to_owned()),
            }
        }
        None => level.map(|level| format!("unverified-{level}")),
    }
}

/// Of the number itself (`tel:` and the user part), of the URI, or of the header.
fn verstat(identity: &NameAddr) -> Option<String> {
    let uri = &identity.uri;
    let found = uri.number_param("verstat").or_else(|| uri.param("verstat")).or_else(|| identity.param("verstat"));
    found.flatten().map(str::to_owned)
}

fn attestation_header(invite: &Message) -> Option<char> {
    ["Attestation-Info", "P-Attestation-Indicator"]
        .iter()
        .find_map(|name| letter(invite.value(&Name::parse(name))?.trim()))
}

fn letter(text: &str) -> Option<char> {
    match text {
        "A" | "a" => Some('A'),
        "B" | "b" => Some('B'),
        "C" | "c" => Some('C'),
        _ => None,
    }
}

/// The `attest` claim of the PASSporT (RFC 8588). The signature is not looked at.
fn identity_attest(invite: &Message) -> Option<char> {
    let value = invite.value(&Name::parse("Identity"))?;
    let token = value.split(';').next()?.trim();
    if token.len() > MAX_TOKEN {
        return None;
    }
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let json = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&json).ok()?;
    letter(claims.get("attest")?.as_str()?)
}
