//! Why a session failed or ended, and how that is read from an HTTP status, an `error` event or a close code.

use super::wire::ErrorInfo;

/// Why a session failed or ended. The verdict (caller-facing and retry) follows from the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFault {
    /// DNS, TCP, TLS, HTTP other than below.
    Connect(String),
    /// 401 / 403.
    Unauthorised(String),
    /// 404: model or deployment unknown.
    NotFound(String),
    /// 429, quota.
    RateLimited(String),
    /// No `session.updated` in time.
    Timeout,
    /// `session.update` was refused: the configuration is bad.
    BadConfiguration(String),
    /// The length cap.
    Expired,
    /// The dialect was refused (`beta_api_shape_disabled`, foreign fields).
    WrongDialect(String),
    /// The socket closed or broke; the close code if one came.
    Lost { code: Option<u16>, reason: String },
    /// Server-side failure of a response.
    Server(String),
}

/// Fields that one dialect has and the other refuses: a refusal of these means the wrong dialect, not a wrong value.
const DIALECT_FIELDS: [&str; 12] = [
    "type",
    "audio",
    "output_modalities",
    "max_output_tokens",
    "modalities",
    "voice",
    "input_audio_format",
    "output_audio_format",
    "input_audio_transcription",
    "turn_detection",
    "temperature",
    "max_response_output_tokens",
];

impl SessionFault {
    /// Label for metrics and CDR.
    pub fn label(&self) -> &'static str {
        match self {
            SessionFault::Connect(_) => "realtime_connect",
            SessionFault::Unauthorised(_) => "realtime_unauthorised",
            SessionFault::NotFound(_) => "realtime_not_found",
            SessionFault::RateLimited(_) => "realtime_rate_limited",
            SessionFault::Timeout => "realtime_timeout",
            SessionFault::BadConfiguration(_) => "realtime_bad_configuration",
            SessionFault::Expired => "realtime_expired",
            SessionFault::WrongDialect(_) => "realtime_wrong_dialect",
            SessionFault::Lost { .. } => "realtime_lost",
            SessionFault::Server(_) => "realtime_server_error",
        }
    }

    /// Whether the same endpoint may be tried again: never for a key, a name, a configuration or a dialect (R2, R4).
    pub fn may_retry(&self) -> bool {
        match self {
            SessionFault::Connect(_)
            | SessionFault::RateLimited(_)
            | SessionFault::Timeout
            | SessionFault::Expired
            | SessionFault::Server(_) => true,
            // 4000 is the service's refusal; the other codes are those its own client reconnects on.
            SessionFault::Lost { code, .. } => *code != Some(4000),
            SessionFault::Unauthorised(_)
            | SessionFault::NotFound(_)
            | SessionFault::BadConfiguration(_)
            | SessionFault::WrongDialect(_) => false,
        }
    }

    /// A handshake that was answered with another status than 101.
    pub fn from_http_status(status: u16, body_excerpt: &str) -> SessionFault {
        let body = excerpt(body_excerpt);
        let text = if body.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {body}") };
        if body.contains("beta_api_shape_disabled") {
            return SessionFault::WrongDialect(text);
        }
        match status {
            402 | 429 => SessionFault::RateLimited(text),
            _ if body.contains("insufficient_quota") => SessionFault::RateLimited(text),
            401 | 403 => SessionFault::Unauthorised(text),
            404 => SessionFault::NotFound(text),
            _ => SessionFault::Connect(text),
        }
    }

    /// What an `error` object says by itself; `None` when its code names no fault of a session.
    pub(super) fn from_error(error: &ErrorInfo<'_>) -> Option<SessionFault> {
        let text = describe(error);
        let says = |word: &str| error.code.contains(word) || error.kind.contains(word);
        if says("session_expired") {
            Some(SessionFault::Expired)
        } else if says("beta_api_shape_disabled") {
            Some(SessionFault::WrongDialect(text))
        } else if says("rate_limit") || says("quota") || says("session_limit") || says("too_many_requests") {
            Some(SessionFault::RateLimited(text))
        } else if says("invalid_api_key") || says("authentication") || says("unauthorized") || says("permission") {
            Some(SessionFault::Unauthorised(text))
        } else if says("model_not_found") || says("deployment_not_found") || says("DeploymentNotFound") {
            Some(SessionFault::NotFound(text))
        } else if says("server_error") || says("model_load_error") {
            Some(SessionFault::Server(text))
        } else {
            None
        }
    }

    /// `session.update` was refused with this error.
    pub(super) fn from_refused_update(error: &ErrorInfo<'_>) -> SessionFault {
        if let Some(fault) = SessionFault::from_error(error) {
            return fault;
        }
        let field = error.param.strip_prefix("session.").unwrap_or_default();
        let foreign = error.param.is_empty() || error.param == "session" || DIALECT_FIELDS.contains(&field);
        let shape = match error.code.as_ref() {
            "unknown_parameter" => foreign,
            "missing_required_parameter" => field == "type",
            _ => field == "type",
        };
        let text = describe(error);
        if shape { SessionFault::WrongDialect(text) } else { SessionFault::BadConfiguration(text) }
    }

    /// A response failed with this error.
    pub(super) fn from_failed_response(error: &ErrorInfo<'_>) -> SessionFault {
        match SessionFault::from_error(error) {
            Some(fault @ (SessionFault::RateLimited(_) | SessionFault::Server(_))) => fault,
            _ => SessionFault::Server(describe(error)),
        }
    }

    /// The socket closed. The cap closes with 1001 and says so in the reason; a proxy may drop the reason.
    pub(super) fn from_close(code: Option<u16>, reason: &str) -> SessionFault {
        let lower = reason.to_ascii_lowercase();
        let capped = lower.contains("maximum duration") || lower.contains("session_expired");
        if capped || (code == Some(1001) && reason.is_empty()) {
            return SessionFault::Expired;
        }
        let reason = excerpt(reason);
        if lower.contains("beta_api_shape_disabled") {
            SessionFault::WrongDialect(reason)
        } else if lower.contains("invalid_api_key") || lower.contains("unauthorized") {
            SessionFault::Unauthorised(reason)
        } else if lower.contains("model_not_found") {
            SessionFault::NotFound(reason)
        } else if lower.contains("insufficient_quota") || lower.contains("rate_limit") {
            SessionFault::RateLimited(reason)
        } else {
            SessionFault::Lost { code, reason }
        }
    }
}

impl std::fmt::Display for SessionFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SessionFault::Connect(s)
            | SessionFault::Unauthorised(s)
            | SessionFault::NotFound(s)
            | SessionFault::RateLimited(s)
            | SessionFault::BadConfiguration(s)
            | SessionFault::WrongDialect(s)
            | SessionFault::Server(s) => write!(f, "{}: {s}", self.label()),
            SessionFault::Timeout | SessionFault::Expired => f.write_str(self.label()),
            SessionFault::Lost { code: Some(c), reason } => write!(f, "realtime_lost: close {c} {reason}"),
            SessionFault::Lost { code: None, reason } => write!(f, "realtime_lost: {reason}"),
        }
    }
}

/// `code: message (param)`, as an operator wants to read it.
pub(super) fn describe(error: &ErrorInfo<'_>) -> String {
    let name = if error.code.is_empty() { &error.kind } else { &error.code };
    let mut text = excerpt(&error.message);
    if !name.is_empty() {
        text = format!("{}: {text}", excerpt(name));
    }
    if !error.param.is_empty() {
        text = format!("{text} ({})", excerpt(&error.param));
    }
    text
}

/// At most 200 characters of foreign text on one line, without anything that looks like a key.
pub(super) fn excerpt(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()) {
        if out.chars().count() >= 200 {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let bare = word.trim_start_matches(|c: char| !c.is_alphanumeric());
        out.push_str(if bare.starts_with("sk-") || bare.starts_with("ek_") { "***" } else { word });
    }
    match out.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", out.get(..end).unwrap_or_default()),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &'static str, param: &'static str) -> ErrorInfo<'static> {
        ErrorInfo { code: code.into(), param: param.into(), message: "m".into(), ..ErrorInfo::default() }
    }

    /// R1, R2, R3: the verdict on a refused handshake.
    #[test]
    fn http_status_decides_the_fault() {
        let label = |status, body| SessionFault::from_http_status(status, body).label();
        assert_eq!(label(401, ""), "realtime_unauthorised");
        assert_eq!(label(403, "no"), "realtime_unauthorised");
        assert_eq!(label(403, r#"{"code":"insufficient_quota"}"#), "realtime_rate_limited");
        assert_eq!(label(404, ""), "realtime_not_found");
        assert_eq!(label(429, ""), "realtime_rate_limited");
        assert_eq!(label(400, "beta_api_shape_disabled"), "realtime_wrong_dialect");
        for status in [301, 400, 500, 502, 503] {
            assert_eq!(label(status, ""), "realtime_connect", "{status}");
        }
        assert!(SessionFault::from_http_status(503, "").may_retry());
        assert!(!SessionFault::from_http_status(401, "").may_retry());
    }

    #[test]
    fn body_is_cut_flattened_and_shows_no_key() {
        let fault = SessionFault::from_http_status(401, "Incorrect API key provided:\r\n 'sk-abcdef'. \u{0}Bye");
        assert_eq!(fault, SessionFault::Unauthorised("HTTP 401: Incorrect API key provided: *** Bye".to_owned()));
        let SessionFault::Connect(text) = SessionFault::from_http_status(500, &"é".repeat(5000)) else { panic!() };
        assert!(text.chars().count() < 220);
    }

    /// R4: a foreign field means the wrong dialect, a bad value a bad configuration.
    #[test]
    fn refused_update_is_told_apart() {
        let label = |code, param| SessionFault::from_refused_update(&error(code, param)).label();
        assert_eq!(label("unknown_parameter", "session.type"), "realtime_wrong_dialect");
        assert_eq!(label("unknown_parameter", "session.voice"), "realtime_wrong_dialect");
        assert_eq!(label("unknown_parameter", ""), "realtime_wrong_dialect");
        assert_eq!(label("missing_required_parameter", "session.type"), "realtime_wrong_dialect");
        assert_eq!(label("beta_api_shape_disabled", ""), "realtime_wrong_dialect");
        assert_eq!(label("invalid_value", "session.audio.output.voice"), "realtime_bad_configuration");
        assert_eq!(label("unknown_parameter", "session.audio.input.noise_reduction.x"), "realtime_bad_configuration");
        assert_eq!(label("rate_limit_exceeded", ""), "realtime_rate_limited");
    }

    /// R5, R6: what a close means.
    #[test]
    fn close_code_and_reason_decide_the_fault() {
        let cap = "Your session hit the maximum duration of 60 minutes.";
        assert_eq!(SessionFault::from_close(Some(1001), cap), SessionFault::Expired);
        assert_eq!(SessionFault::from_close(Some(1001), ""), SessionFault::Expired);
        let restart = SessionFault::from_close(Some(1001), "server restart");
        assert_eq!(restart, SessionFault::Lost { code: Some(1001), reason: "server restart".to_owned() });
        assert!(restart.may_retry());
        assert!(matches!(SessionFault::from_close(None, ""), SessionFault::Lost { code: None, .. }));
        let beta = SessionFault::from_close(Some(4000), "invalid_request_error.beta_api_shape_disabled");
        assert_eq!(beta.label(), "realtime_wrong_dialect");
    }
}
