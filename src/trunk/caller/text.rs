//! Texts of the caller's making: cleaned and bounded before anybody sees them (AUT-13, AUT-14).

use crate::sip::headers::Name;
use crate::sip::message::Message;

/// Most bytes of User-to-User (RFC 7433 has 128 for ISDN).
const MAX_UUI: usize = 256;

/// One line of at most `max` characters: control characters are spaces, runs of white space one, and what changes the direction of
/// text or cannot be seen is left out.
pub fn clean(text: &str, max: usize) -> String {
    let mut cleaned = String::new();
    let mut length = 0;
    let mut space = false;
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        if c.is_whitespace() || c.is_control() {
            space = !cleaned.is_empty();
            continue;
        }
        let needed = if space { 2 } else { 1 };
        if length + needed > max {
            break;
        }
        if std::mem::take(&mut space) {
            cleaned.push(' ');
        }
        cleaned.push(c);
        length += needed;
    }
    cleaned
}

/// Zero-width and bidirectional controls, tags, and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// User-to-User (RFC 7433): hex is decoded when it says so, or when it says nothing and is hex of readable text.
pub fn user_to_user(invite: &Message) -> Option<String> {
    let value = invite.value(&Name::parse("User-to-User"))?;
    let (data, params) = value.split_once(';').unwrap_or((&value, ""));
    let data = data.trim().trim_matches('"');
    let encoding = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("encoding").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    let text = match encoding.as_deref() {
        None | Some("hex") => from_hex(data).unwrap_or_else(|| data.to_owned()),
        Some(_) => data.to_owned(),
    };
    let mut text = clean(&text, MAX_UUI);
    while text.len() > MAX_UUI {
        text.pop();
    }
    (!text.is_empty()).then_some(text)
}

/// Text of hex digits; `None` if they are none, or what they say cannot be read. The protocol discriminator of Q.931 before it goes.
fn from_hex(data: &str) -> Option<String> {
    let digits: Option<Vec<u8>> =
        data.chars().take(2 * MAX_UUI).map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2))?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    let text = match bytes.split_first() {
        // 04: IA5 characters follow.
        Some((4, rest)) if !rest.is_empty() => rest,
        _ => &bytes,
    };
    let text = std::str::from_utf8(text).ok()?;
    (!text.chars().any(|c| c.is_control() && !c.is_whitespace())).then(|| text.to_owned())
}
