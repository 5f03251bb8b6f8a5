//! What the 2xx of a REGISTER says (RFC 3261 §10.2.4, RFC 3327, RFC 3608, RFC 5626 §4.4).

use crate::sip::headers::{Name, NameAddr};
use crate::sip::message::Message;

/// Most Path and Service-Route values that are kept.
const MOST_ROUTES: usize = 16;

#[derive(Debug)]
pub(super) struct Binding {
    /// Seconds granted to our Contact; 0: it is not there.
    pub expires: u32,
    pub path: Vec<String>,
    pub service_route: Vec<String>,
    /// Flow-Timer, seconds.
    pub flow_timer: Option<u32>,
    /// The registrar or its edge knows RFC 5626: pings are answered.
    pub outbound: bool,
}

impl Binding {
    /// `contact_user` names our Contact among those of the answer; `asked` is what we asked for.
    pub fn read(message: &Message, contact_user: &str, asked: u32) -> Binding {
        let routes = |name: Name| message.values(&name).into_iter().take(MOST_ROUTES).collect();
        let flow_timer = message.seconds(&Name::Other("Flow-Timer".into())).and_then(Result::ok);
        let outbound = [Name::Supported, Name::Require].iter().any(|name| message.has_token(name, "outbound"));
        Binding {
            expires: granted(message, contact_user, asked),
            path: routes(Name::Other("Path".into())),
            service_route: routes(Name::Other("Service-Route".into())),
            flow_timer,
            outbound: outbound || flow_timer.is_some(),
        }
    }
}

/// The `expires` of our Contact, else the Expires header, else what was asked for. A registrar may rewrite the Contact's host, and
/// some list none at all; only a list without ours says that there is no binding.
fn granted(message: &Message, contact_user: &str, asked: u32) -> u32 {
    let header = message.seconds(&Name::Expires).and_then(Result::ok);
    let contacts: Vec<NameAddr> =
        message.values(&Name::Contact).iter().filter_map(|value| NameAddr::parse(value).ok()).collect();
    let own = contacts.iter().find(|contact| contact.uri.user() == Some(contact_user)).or(match contacts.as_slice() {
        [only] => Some(only),
        _ => None,
    });
    let Some(own) = own else { return if contacts.is_empty() { header.unwrap_or(asked) } else { 0 } };
    let param = own.param("expires").flatten().and_then(|secs| secs.trim().parse::<u64>().ok());
    let param = param.map(|secs| u32::try_from(secs).unwrap_or(u32::MAX));
    // An expiry of years is as good as a day: the refresh keeps the flow's state alive too.
    param.or(header).unwrap_or(asked).min(super::LONGEST_SECS)
}
