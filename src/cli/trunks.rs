//! `voxtrunk trunks`: what the trunks of a running server are doing, as a table or as JSON.

use super::exit;
use super::health::{self, Address};
use super::table::Table;
use crate::observe::trunks::{Page, RegistrationState, TargetState, TrunkState};
use std::process::ExitCode;

/// A page of a thousand trunks.
const MAX_ANSWER: u64 = 4 << 20;

/// Arguments of `trunks`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub address: Address,
    /// Print what the server says, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs it: exit code 0 when every trunk is well, 1 when one has a problem or the server does not answer.
pub fn run(args: Args) -> ExitCode {
    let address = match args.address.resolve("trunks") {
        Ok(address) => address,
        Err(why) => {
            eprintln!("{why}");
            return exit::code(exit::USAGE);
        }
    };
    exit::block_on("trunks", async move {
        let page = health::get(address, "/trunks", MAX_ANSWER).await.and_then(|text| {
            let page: Page = serde_json::from_str(&text).map_err(|e| format!("not an answer of voxtrunk: {e}"))?;
            Ok((text, page))
        });
        match page {
            Ok((text, page)) => {
                println!("{}", if args.json { text } else { report(&page.trunks) });
                let well = page.trunks.iter().all(|trunk| trunk.problem.is_none());
                exit::code(if well { exit::OK } else { exit::FAILURE })
            }
            Err(why) => {
                eprintln!("voxtrunk trunks: http://{address}/trunks: {why}");
                exit::code(exit::FAILURE)
            }
        }
    })
}

/// The table, and below it what is wrong with whom.
pub fn report(trunks: &[TrunkState]) -> String {
    let mut table = Table::new(&[
        "TRUNK",
        "KIND",
        "REGISTRATION",
        "CALLS",
        "REFUSED",
        "TARGET",
        "ADDRESS",
        "STATE",
        "LAST OPTIONS",
    ]);
    for trunk in trunks {
        let registration = trunk.registration.as_ref().map_or("-".into(), registration);
        let (calls, refused) = (trunk.calls.to_string(), trunk.refused.to_string());
        let nothing = TargetState::default();
        let first = trunk.targets.first().unwrap_or(&nothing);
        let target = |target: &TargetState| {
            let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            [dash(&target.uri), dash(target.address.as_deref().unwrap_or_default()), state(target), last(target)]
        };
        let [uri, address, up, answer] = target(first);
        table.row(&[&trunk.name, &trunk.kind, &registration, &calls, &refused, &uri, &address, &up, &answer]);
        for further in trunk.targets.iter().skip(1) {
            let [uri, address, up, answer] = target(further);
            table.row(&["", "", "", "", "", &uri, &address, &up, &answer]);
        }
    }
    let mut text = table.text();
    for trunk in trunks {
        if let Some(problem) = &trunk.problem {
            text.push_str(&format!("\n{}: {problem}", trunk.name));
        }
    }
    text.trim_end().to_owned()
}

fn registration(registration: &RegistrationState) -> String {
    let secs = |what: &str, secs: Option<u64>| secs.map(|secs| format!(", {what} {secs} s")).unwrap_or_default();
    let status = registration.last_status.filter(|status| !(200..300).contains(status));
    let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
    match registration.expires_in_secs {
        Some(_) => format!("{}{status}{}", registration.state, secs("ends in", registration.expires_in_secs)),
        None => format!("{}{status}{}", registration.state, secs("next try in", registration.retry_in_secs)),
    }
}

fn state(target: &TargetState) -> String {
    match (target.up, &target.address) {
        (Some(true), _) => "up",
        (Some(false), _) => "down",
        (None, Some(_)) => "not asked",
        (None, None) if target.uri.is_empty() => "-",
        (None, None) => "no address",
    }
    .to_owned()
}

fn last(target: &TargetState) -> String {
    match (target.last_status, target.age_secs) {
        (Some(408), Some(age)) => format!("no answer, {age} s ago"),
        (Some(status), Some(age)) => format!("{status}, {age} s ago"),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_wrong_and_what_to_do() {
        let target = |address: &str, up, status| TargetState {
            uri: "sip:carrier.example.com".into(),
            address: Some(address.into()),
            up: Some(up),
            last_status: Some(status),
            age_secs: Some(4),
        };
        let registration = RegistrationState {
            state: "registered".into(),
            registrar: Some("UDP 192.0.2.2:5060".into()),
            expires_in_secs: Some(480),
            last_status: Some(200),
            retry_in_secs: Some(300),
        };
        let trunks = [
            TrunkState {
                name: "carrier".into(),
                kind: "register".into(),
                registration: Some(registration),
                targets: vec![target("UDP 192.0.2.2:5060", true, 200), target("UDP 192.0.2.3:5060", false, 408)],
                calls: 3,
                refused: 7,
                problem: Some("192.0.2.3:5060 does not answer OPTIONS: check its firewall".into()),
            },
            TrunkState { name: "peers".into(), kind: "static".into(), ..TrunkState::default() },
        ];
        let text = report(&trunks);
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1][..7], ["carrier", "register", "registered,", "ends", "in", "480", "s"], "{text}");
        assert_eq!(words[1][7..9], ["3", "7"], "{text}");
        assert_eq!(
            words[2],
            ["sip:carrier.example.com", "UDP", "192.0.2.3:5060", "down", "no", "answer,", "4", "s", "ago"]
        );
        assert_eq!(words[3], ["peers", "static", "-", "0", "0", "-", "-", "-", "-"]);
        assert!(text.ends_with("\ncarrier: 192.0.2.3:5060 does not answer OPTIONS: check its firewall"), "{text}");
    }
}
