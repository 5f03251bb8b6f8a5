//! Header names: the long and compact spellings (RFC 3261 §7.3.3, §20), read in any case.

use super::headers::Name;
use super::lexer;

impl Name {
    /// Reads a name in its long or compact form, any case; one we do not list becomes [`Name::Other`].
    pub fn parse(text: &str) -> Name {
        Name::known(lexer::trim(text.as_bytes())).unwrap_or_else(|| Name::Other(text.trim().into()))
    }

    /// The listed name these bytes spell; never `Other`.
    pub(crate) fn known(name: &[u8]) -> Option<Name> {
        let mut lower = [0u8; 20];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"via" | b"v" => Name::Via,
            b"from" | b"f" => Name::From,
            b"to" | b"t" => Name::To,
            b"call-id" | b"i" => Name::CallId,
            b"cseq" => Name::CSeq,
            b"contact" | b"m" => Name::Contact,
            b"max-forwards" => Name::MaxForwards,
            b"route" => Name::Route,
            b"record-route" => Name::RecordRoute,
            b"content-type" | b"c" => Name::ContentType,
            b"content-length" | b"l" => Name::ContentLength,
            b"content-encoding" | b"e" => Name::ContentEncoding,
            b"content-disposition" => Name::ContentDisposition,
            b"allow" => Name::Allow,
            b"accept" => Name::Accept,
            b"supported" | b"k" => Name::Supported,
            b"unsupported" => Name::Unsupported,
            b"require" => Name::Require,
            b"proxy-require" => Name::ProxyRequire,
            b"expires" => Name::Expires,
            b"min-expires" => Name::MinExpires,
            b"retry-after" => Name::RetryAfter,
            b"warning" => Name::Warning,
            b"reason" => Name::Reason,
            b"refer-to" | b"r" => Name::ReferTo,
            b"referred-by" | b"b" => Name::ReferredBy,
            b"replaces" => Name::Replaces,
            b"event" | b"o" => Name::Event,
            b"subscription-state" => Name::SubscriptionState,
            b"session-expires" | b"x" => Name::SessionExpires,
            b"min-se" => Name::MinSe,
            b"rseq" => Name::RSeq,
            b"rack" => Name::RAck,
            b"authorization" => Name::Authorization,
            b"proxy-authorization" => Name::ProxyAuthorization,
            b"www-authenticate" => Name::WwwAuthenticate,
            b"proxy-authenticate" => Name::ProxyAuthenticate,
            b"p-asserted-identity" => Name::PAssertedIdentity,
            b"p-called-party-id" => Name::PCalledPartyId,
            b"remote-party-id" => Name::RemotePartyId,
            b"privacy" => Name::Privacy,
            b"diversion" => Name::Diversion,
            b"history-info" => Name::HistoryInfo,
            b"user-agent" => Name::UserAgent,
            b"server" => Name::Server,
            b"date" => Name::Date,
            b"subject" | b"s" => Name::Subject,
            _ => return None,
        })
    }

    /// The long form, as we write it.
    pub fn as_str(&self) -> &str {
        match self {
            Name::Via => "Via",
            Name::From => "From",
            Name::To => "To",
            Name::CallId => "Call-ID",
            Name::CSeq => "CSeq",
            Name::Contact => "Contact",
            Name::MaxForwards => "Max-Forwards",
            Name::Route => "Route",
            Name::RecordRoute => "Record-Route",
            Name::ContentType => "Content-Type",
            Name::ContentLength => "Content-Length",
            Name::ContentEncoding => "Content-Encoding",
            Name::ContentDisposition => "Content-Disposition",
            Name::Allow => "Allow",
            Name::Accept => "Accept",
            Name::Supported => "Supported",
            Name::Unsupported => "Unsupported",
            Name::Require => "Require",
            Name::ProxyRequire => "Proxy-Require",
            Name::Expires => "Expires",
            Name::MinExpires => "Min-Expires",
            Name::RetryAfter => "Retry-After",
            Name::Warning => "Warning",
            Name::Reason => "Reason",
            Name::ReferTo => "Refer-To",
            Name::ReferredBy => "Referred-By",
            Name::Replaces => "Replaces",
            Name::Event => "Event",
            Name::SubscriptionState => "Subscription-State",
            Name::SessionExpires => "Session-Expires",
            Name::MinSe => "Min-SE",
            Name::RSeq => "RSeq",
            Name::RAck => "RAck",
            Name::Authorization => "Authorization",
            Name::ProxyAuthorization => "Proxy-Authorization",
            Name::WwwAuthenticate => "WWW-Authenticate",
            Name::ProxyAuthenticate => "Proxy-Authenticate",
            Name::PAssertedIdentity => "P-Asserted-Identity",
            Name::PCalledPartyId => "P-Called-Party-ID",
            Name::RemotePartyId => "Remote-Party-ID",
            Name::Privacy => "Privacy",
            Name::Diversion => "Diversion",
            Name::HistoryInfo => "History-Info",
            Name::UserAgent => "User-Agent",
            Name::Server => "Server",
            Name::Date => "Date",
            Name::Subject => "Subject",
            Name::Other(name) => name,
        }
    }

    /// Headers that must not stand twice in a message (RFC 3261 §7.3.1 "single value", RFC 4475 §3.3.8). User-Agent and
    /// Server are left out: two of them harm nobody and are seen in the field.
    pub(crate) fn is_single_value(&self) -> bool {
        matches!(
            self,
            Name::From
                | Name::To
                | Name::CallId
                | Name::CSeq
                | Name::MaxForwards
                | Name::ContentType
                | Name::ContentLength
                | Name::ContentDisposition
                | Name::Expires
                | Name::MinExpires
                | Name::RetryAfter
                | Name::ReferTo
                | Name::ReferredBy
                | Name::Replaces
                | Name::Event
                | Name::SubscriptionState
                | Name::SessionExpires
                | Name::MinSe
                | Name::RSeq
                | Name::RAck
                | Name::PCalledPartyId
                | Name::Date
                | Name::Subject
        )
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PAR-04: compact names in any case are the long ones.
    #[test]
    fn compact_names_are_the_long_ones() {
        let pairs = [
            ("v", "Via"),
            ("f", "From"),
            ("t", "To"),
            ("m", "Contact"),
            ("i", "Call-ID"),
            ("s", "Subject"),
            ("l", "Content-Length"),
            ("k", "Supported"),
            ("c", "Content-Type"),
            ("e", "Content-Encoding"),
            ("o", "Event"),
            ("r", "Refer-To"),
            ("b", "Referred-By"),
            ("x", "Session-Expires"),
        ];
        for (compact, long) in pairs {
            assert_eq!(Name::parse(compact), Name::parse(long), "{compact}");
            assert_eq!(Name::parse(&compact.to_uppercase()).as_str(), long);
            assert_eq!(Name::parse(&long.to_lowercase()).as_str(), long);
        }
        assert_eq!(Name::parse("X-Foo"), Name::Other("X-Foo".into()));
        assert_eq!(Name::parse("a-name-far-longer-than-any-we-list").as_str(), "a-name-far-longer-than-any-we-list");
    }
}
