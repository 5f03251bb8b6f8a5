//! `voxtrunk explain --invite FILE`: which trunk, number, caller and dialplan an INVITE in a file would get.

use crate::config::book::{Book, Match};
use crate::config::settings::Settings;
use crate::sip::message::{Framing, Message, Method};
use crate::sip::{Flow, Transport};
use crate::trunk::caller::{caller, is_blocked};
use crate::trunk::dialled::dialled;
use crate::trunk::{CallerInfo, Facts, Identifier, Trunk, Verdict};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Largest file looked at, bytes: that of a message.
const MAX_FILE: usize = 64 * 1024;

/// What the message does not say.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// Default: the top Via.
    pub from: Option<SocketAddr>,
    /// The user part of our Contact on registering trunks.
    pub contact_user: String,
    /// Names of the TLS certificate that it showed.
    pub certificate_names: Vec<String>,
}

/// Reads a message as a capture shows it: line ends of any kind, white space before and after.
pub fn read(file: &Path) -> Result<Message, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    if bytes.len() > MAX_FILE {
        return Err(format!("{}: is larger than 64 KiB, the most a SIP message has here", file.display()));
    }
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim_start().replace('\n', "\r\n");
    // The last header of a capture often lacks its blank line; Content-Length of one that was edited is not true.
    let head = text.split("\r\n\r\n").next().unwrap_or_default().trim_end();
    let lines = head.split("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default().trim();
        !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("l")
    });
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let head: Vec<&str> = lines.collect();
    let whole = format!("{}\r\nContent-Length: {}\r\n\r\n{body}", head.join("\r\n"), body.len());
    Message::parse(whole.into(), Framing::Datagram)
        .map_err(|failure| format!("{}: is not a SIP message: {} ({})", file.display(), failure.why, failure.status))
}

/// What the server makes of it.
#[derive(Clone, Debug)]
pub struct Judged {
    pub verdict: Verdict,
    pub trunk: Option<Trunk>,
    pub number: String,
    pub place: String,
    pub caller: CallerInfo,
    pub blocked: bool,
}

/// Trunk, number and caller, by the settings; the error is a sentence for the operator.
pub fn judge(settings: &Settings, invite: &Message, sender: &Sender) -> Result<(SocketAddr, Judged), String> {
    if invite.method() != Method::Invite || !invite.is_request() {
        return Err(format!("it is a {}, not an INVITE", invite.method()));
    }
    let (transport, via) = by_via(invite)?;
    let remote = sender.from.or(via).ok_or("its Via has a name: say where it came from with --from IP:PORT")?;
    let trunks = settings.all_trunks();
    let users = vec![sender.contact_user.clone(); trunks.len()];
    let flow = Flow { transport, local: settings.sip.listen, remote, conn: 0 };
    let facts = Facts { flow, certificate_names: &sender.certificate_names, opened_for: None };
    let verdict = Identifier::new(&trunks, &users).identify(&facts, invite);
    let trunk = match &verdict {
        Verdict::Trunk(id) => trunks.get(usize::from(id.0)).cloned(),
        Verdict::Challenge(ids) => ids.first().and_then(|id| trunks.get(usize::from(id.0))).cloned(),
        Verdict::Unknown => None,
    };
    let Some(known) = &trunk else {
        let nothing = Judged {
            verdict,
            trunk: None,
            number: String::new(),
            place: String::new(),
            caller: CallerInfo::default(),
            blocked: false,
        };
        return Ok((remote, nothing));
    };
    let number = dialled(known, &sender.contact_user, invite);
    let caller = caller(known, invite);
    let blocked = is_blocked(known, &caller);
    let place = number.from.map(|place| place.to_string()).unwrap_or_default();
    Ok((remote, Judged { verdict, trunk, number: number.number, place, caller, blocked }))
}

/// Transport and address of the top Via: `received` and `rport` before what the sender wrote.
fn by_via(invite: &Message) -> Result<(Transport, Option<SocketAddr>), String> {
    let Some(Ok(via)) = invite.top_via() else { return Err("its Via cannot be read".to_owned()) };
    let transport = match via.transport.to_ascii_uppercase().as_str() {
        "UDP" => Transport::Udp,
        "TCP" => Transport::Tcp,
        "TLS" => Transport::Tls,
        other => return Err(format!("its Via says {other}, which is no transport here")),
    };
    let host = via.received.as_ref().unwrap_or(&via.host);
    let port = via.rport.flatten().or(via.port).unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
    Ok((transport, host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))))
}

/// The whole text. Caller data is shown: whoever runs this has the message anyway.
pub fn report(file: &Path, settings: &Settings, book: &Book, sender: &Sender) -> Result<String, String> {
    let invite = read(file)?;
    let (remote, judged) = judge(settings, &invite, sender).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut out = String::new();
    let Some(trunk) = &judged.trunk else {
        return Ok(format!(
            "From {remote}: no trunk's. It is dropped without an answer, whoever was dialled.\n\
             Add the address to sources of a [[trunk]] (or to sip.peers), and mind its port and transport.\n"
        ));
    };
    let how = match judged.verdict {
        Verdict::Challenge(_) => ", after it has proved itself (401)",
        _ => "",
    };
    let _ = writeln!(out, "From {remote}: trunk {}{how}.", trunk.name);
    let _ = write_number(&mut out, &judged, trunk, book);
    let _ = write_caller(&mut out, &judged);
    Ok(out)
}

fn write_number(out: &mut String, judged: &Judged, trunk: &Trunk, book: &Book) -> std::fmt::Result {
    let places = trunk.dialled.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if judged.number.is_empty() {
        writeln!(out, "Number    none in {places}: 404. Name the place it stands in: dialled_from of the trunk.")?;
        return writeln!(out, "Dialplan  none");
    }
    writeln!(out, "Number    {} (from {}, of {places})", judged.number, judged.place)?;
    match book.find(&judged.number) {
        Some((plan, reason)) => {
            let why = match reason {
                Match::Exact(number) => format!("it lists {number}"),
                Match::Prefix(prefix) => format!("{prefix}* is the longest prefix that fits"),
                Match::Default => "no file lists it".to_owned(),
            };
            writeln!(out, "Dialplan  {}: {why}", plan.file.display())
        }
        None => {
            writeln!(out, "Dialplan  none: 404. Add numbers = [\"{}\"] to a file, or a default.toml.", judged.number)
        }
    }
}

fn write_caller(out: &mut String, judged: &Judged) -> std::fmt::Result {
    let caller = &judged.caller;
    if caller.withheld {
        writeln!(out, "Caller    withheld")?;
    } else {
        writeln!(out, "Caller    {} \"{}\"", caller.number.expose(), caller.name.expose())?;
    }
    if judged.blocked {
        writeln!(out, "          is in blocked of the trunk: 603 Decline")?;
    }
    if let Some(from) = &caller.forwarded_from {
        let why = caller.forward_reason.as_deref().unwrap_or("no reason given");
        writeln!(out, "Forwarded from {} ({why})", from.expose())?;
    }
    if let Some(attestation) = &caller.attestation {
        writeln!(out, "STIR      {attestation}")?;
    }
    if let Some(uui) = &caller.user_to_user {
        writeln!(out, "User-to-User {}", uui.expose())?;
    }
    for (name, value) in &caller.headers {
        writeln!(out, "Header    {name}: {}", value.expose())?;
    }
    Ok(())
}
