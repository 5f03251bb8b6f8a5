//! DLG-21: the flows of RFC 3665 and RFC 5359 that we can take part in, as golden traces (tests/data/flows/README.md has the notation).

use crate::kit::*;
use std::collections::BTreeMap;
use std::path::Path;
use voxtrunk::observe::pii::Pii;
use voxtrunk::sip::digest::Credentials;
use voxtrunk::sip::headers::Name;
use voxtrunk::sip::message::Message;
use voxtrunk::sip::session_timer::TimerMode;
use voxtrunk::sip::uri::Uri;
use voxtrunk::sip::user_agent::{Reliable, SessionId, UaCommand, UaTrunk};

/// One call of a flow, as its peer knows it.
struct Party {
    session: Option<SessionId>,
    peer: Peer,
    /// CSeq of the peer's last request, and of its last INVITE.
    cseq: u32,
    invite: u32,
    /// We refused it: its ACK is of the same transaction.
    refused: bool,
    /// Our requests in the call.
    requests: Vec<Message>,
    /// The peer's tag in the dialog.
    tag: String,
}

impl Party {
    fn new(name: &str) -> Party {
        let peer = Peer {
            call_id: format!("{name}@192.0.2.20"),
            from: format!("<sip:{name}@192.0.2.20>;tag={name}"),
            contact: format!("<sip:{name}@192.0.2.20:5060>"),
            ..Peer::new()
        };
        Party { session: None, peer, cseq: 0, invite: 0, refused: false, requests: Vec::new(), tag: name.to_owned() }
    }

    fn our_tag(&self) -> String {
        self.peer.to.split(";tag=").nth(1).unwrap_or_default().to_owned()
    }
}

struct Flow {
    bench: Bench,
    parties: BTreeMap<String, Party>,
    /// Where we are, for messages.
    at: String,
}

/// A step's words, whether it has SDP, and its headers.
struct Step<'a> {
    words: Vec<&'a str>,
    sdp: bool,
    headers: Vec<(String, String)>,
}

impl Flow {
    fn new(settings: &str, at: String) -> Flow {
        let bench = Bench::of_trunk(|trunk| settings.split_whitespace().for_each(|setting| set(trunk, setting)));
        Flow { bench, parties: BTreeMap::new(), at }
    }

    fn party(&mut self, name: &str) -> &mut Party {
        self.parties.entry(name.to_owned()).or_insert_with(|| Party::new(name))
    }

    fn session(&mut self, name: &str) -> SessionId {
        let at = self.at.clone();
        self.party(name).session.unwrap_or_else(|| panic!("{at}: no call of {name}"))
    }

    /// Call-IDs and tags filled in.
    fn filled(&self, value: &str) -> String {
        let mut value = value.to_owned();
        for (name, party) in &self.parties {
            let parts = [("CALL-ID", &party.peer.call_id), ("US", &party.our_tag()), ("PEER", &party.tag)];
            for (key, part) in parts {
                value = value.replace(&format!("{{{key}:{name}}}"), part);
                value = value.replace(&format!("{{%{key}:{name}}}"), &part.replace('%', "%25").replace('@', "%40"));
            }
        }
        value
    }

    fn step<'a>(&self, line: &'a str) -> Step<'a> {
        let mut parts = line.split(" | ");
        let words = parts.next().unwrap_or_default().split_whitespace().filter(|word| *word != "sdp" && *word != "->");
        let headers = parts.filter_map(|part| part.split_once(": "));
        Step {
            words: words.collect(),
            sdp: line.split(" | ").next().is_some_and(|line| line.split_whitespace().any(|word| word == "sdp")),
            headers: headers.map(|(name, value)| (name.to_owned(), self.filled(value))).collect(),
        }
    }

    /// Everything that was sent and told has been named.
    fn settled(&self) {
        let sent: Vec<_> = self.bench.sent.iter().map(|s| name(&s.message)).collect();
        let told: Vec<_> = self.bench.events.iter().map(|(_, event)| label(event)).collect();
        assert!(sent.is_empty() && told.is_empty(), "{}: not named: {sent:?} {told:?}", self.at);
    }

    fn play(&mut self, line: &str) {
        let step = self.step(line);
        match step.words.as_slice() {
            ["us", who, what @ ..] => self.expect_sent(who, what, &step),
            ["told", who, ..] => {
                let expected = line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
                self.expect_told(who, &expected);
            }
            words => {
                self.settled();
                match words {
                    ["do", who, what @ ..] => self.command(who, what, &step),
                    ["at", ms] => drop(self.bench.at(ms.parse().expect("milliseconds"))),
                    ["empty"] => self.bench.expect_empty(),
                    [who, status, method] => {
                        let status = status.parse().unwrap_or_else(|_| panic!("{}: a status", self.at));
                        self.respond(who, status, method, &step);
                    }
                    [who, method] => self.request(who, method, &step),
                    _ => panic!("{}: not a step", self.at),
                }
            }
        }
    }

    fn request(&mut self, who: &str, method: &str, step: &Step<'_>) {
        let mut extra = String::new();
        for (name, value) in &step.headers {
            match name.as_str() {
                "Contact" => self.party(who).peer.contact = value.clone(),
                _ => extra.push_str(&format!("{name}: {value}\r\n")),
            }
        }
        let party = self.party(who);
        let number = match method {
            "ACK" | "CANCEL" => party.invite,
            _ => {
                party.cseq += 1;
                party.cseq
            }
        };
        if method == "INVITE" {
            party.invite = number;
        }
        let body = match step.headers.iter().any(|(name, value)| name == "Content-Type" && value == "message/sipfrag") {
            true => "SIP/2.0 200 OK\r\n",
            false if step.sdp => SDP,
            false => "",
        };
        let branch = match method {
            "INVITE" | "CANCEL" => format!("z9hG4bK{who}{number}"),
            "ACK" if party.refused => format!("z9hG4bK{who}{number}"),
            _ => format!("z9hG4bK{who}{method}{number}"),
        };
        let text = party.peer.with_branch(method, number, &branch, &extra, body);
        self.bench.hear(text);
    }

    fn respond(&mut self, who: &str, status: u16, method: &str, step: &Step<'_>) {
        let at = self.at.clone();
        let party = self.party(who);
        let request = party.requests.iter().rev().find(|request| request.method().as_str() == method);
        let request = request.unwrap_or_else(|| panic!("{at}: we sent {who} no {method}"));
        let contact = party.peer.contact.clone();
        let mut headers: Vec<_> = step.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !headers.iter().any(|(name, _)| *name == "Contact") {
            headers.push(("Contact", &contact));
        }
        let response = reply(request, status, &party.tag, &headers, if step.sdp { SDP } else { "" });
        self.bench.hear(response);
    }

    fn command(&mut self, who: &str, what: &[&str], step: &Step<'_>) {
        let number = |text: &str| text.parse::<u16>().expect("a status");
        let body = step.sdp.then(sdp);
        if what.first() == Some(&"invite") {
            let session = self.bench.ua.new_session_id();
            self.party(who).session = Some(session);
            let mut call = new_call(session, udp(), body);
            call.target = Uri::parse(&format!("sip:{who}@192.0.2.20")).expect("a URI");
            let headers = step.headers.iter().map(|(name, value)| (Name::parse(name), value.clone()));
            call.headers = headers.collect();
            return self.bench.tell(UaCommand::Invite(Box::new(call)));
        }
        let session = self.session(who);
        let command = match what {
            ["ring"] => UaCommand::Ring { session },
            ["progress", status] => UaCommand::Progress { session, status: number(status), sdp: body },
            ["accept"] => UaCommand::Accept { session, sdp: sdp() },
            ["reject", status] => UaCommand::Reject { session, status: number(status), headers: Vec::new() },
            ["hangup"] => UaCommand::Hangup { session, reason: None },
            ["agree"] => UaCommand::AnswerReinvite { session, answer: Ok(sdp()) },
            ["refuse", status] => UaCommand::AnswerReinvite { session, answer: Err(number(status)) },
            ["answer"] => UaCommand::AnswerInAck { session, sdp: sdp() },
            ["reinvite"] => UaCommand::Reinvite { session, sdp: body },
            ["answer-refer", status] => UaCommand::AnswerRefer { session, status: number(status) },
            ["notify", status] => UaCommand::NotifyRefer { session, status: number(status) },
            ["refer", uri, rest @ ..] => {
                let replaces = rest.get(1).map(|other| self.session(other));
                let refer_to = Uri::parse(uri).expect("a URI");
                UaCommand::Refer { session, refer_to, referred_by: Some("<sip:agent@192.0.2.10>".into()), replaces }
            }
            _ => panic!("{}: no such command", self.at),
        };
        self.bench.tell(command);
    }

    fn expect_sent(&mut self, who: &str, what: &[&str], step: &Step<'_>) {
        let at = self.at.clone();
        assert!(!self.bench.sent.is_empty(), "{at}: nothing was sent");
        let message = self.bench.sent.remove(0).message;
        assert_eq!(name(&message), what.join(" "), "{at}\n{message:?}");
        assert_eq!(message.sdp().is_some(), step.sdp, "{at}: SDP");
        let party = self.party(who);
        if message.is_request() {
            if message.method().as_str() == "INVITE" && party.requests.is_empty() && party.cseq == 0 {
                // A call of ours: the peer's view of it.
                party.peer.call_id = message.call_id().expect("Call-ID");
                party.peer.to = message.value(&Name::From).expect("From");
                party.peer.uri = "sip:agent@192.0.2.10:5060".into();
            }
            party.requests.push(message.clone());
        } else {
            let refused = message.status().is_some_and(|status| status >= 300);
            party.refused |= refused && message.method().as_str() == "INVITE";
        }
        if !message.is_request() && message.status() != Some(100) && !party.peer.to.contains(";tag=") {
            party.peer.learn(&message);
        }
        assert_eq!(message.call_id().as_ref(), Some(&party.peer.call_id), "{at}: of another call");
        for (name, value) in &step.headers {
            let found = match name.as_str() {
                "Request-URI" => message.request_uri().and_then(Result::ok).map(|uri| uri.to_string()),
                name => message.value(&Name::parse(name)),
            };
            assert!(found.is_some() && (value == "*" || found.as_ref() == Some(value)), "{at}: {name}: {found:?}");
        }
    }

    fn expect_told(&mut self, who: &str, expected: &str) {
        let at = self.at.clone();
        assert!(!self.bench.events.is_empty(), "{at}: nothing was told");
        let (_, event) = self.bench.events.remove(0);
        assert_eq!(label(&event), expected, "{at}");
        let party = self.party(who);
        match party.session {
            None => party.session = event.session(),
            Some(session) => assert_eq!(event.session(), Some(session), "{at}: told of another call"),
        }
    }
}

fn set(trunk: &mut UaTrunk, setting: &str) {
    match setting {
        "refer" => trunk.refer = true,
        "replaces" => trunk.replaces = true,
        "timer=offer" => trunk.timer.mode = TimerMode::Offer,
        "reliable=preferred" => trunk.reliable = Reliable::Preferred,
        other => match other.strip_prefix("password=") {
            Some(password) => {
                let password = Pii(password.to_owned());
                trunk.credentials = vec![Credentials { realm: None, user: "agent".into(), password }];
            }
            None => panic!("no such setting: {other}"),
        },
    }
}

/// Plays every file of one RFC; how many there are.
fn play_all(prefix: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flows");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the flows").flatten().map(|file| file.path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    files.sort();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a flow");
        let mut flow: Option<Flow> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let at = format!("{}:{}: {line}", file.display(), number + 1);
            match (line.strip_prefix("trunk "), &mut flow) {
                _ if line.is_empty() => {}
                (Some(settings), None) => flow = Some(Flow::new(settings, at)),
                (_, flow) => {
                    let flow = flow.get_or_insert_with(|| Flow::new("", at.clone()));
                    flow.at = at;
                    flow.play(line);
                }
            }
        }
        flow.expect("a flow with steps").settled();
    }
    files.len()
}

/// DLG-21: the basic flows.
#[test]
fn rfc3665() {
    assert_eq!(play_all("rfc3665"), 14);
}

/// DLG-21: the services.
#[test]
fn rfc5359() {
    assert_eq!(play_all("rfc5359"), 15);
}
