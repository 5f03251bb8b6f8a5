use super::*;
use crate::sip::message::{Builder, Method};

fn request(headers: &[(Name, &str)]) -> Message {
    let request = Builder::request(&Method::Invite, "sip:a@192.0.2.1");
    headers.iter().fold(request, |request, (name, value)| request.header(name.clone(), value)).build()
}

fn policy(mode: TimerMode, refresher: Refresher) -> TimerPolicy {
    TimerPolicy { mode, refresher, ..TimerPolicy::default() }
}

const TIMER: (Name, &str) = (Name::Supported, "replaces, Timer");

fn expires(value: &str) -> (Name, &str) {
    (Name::SessionExpires, value)
}

/// TIM-01: Session-Expires is read leniently.
#[test]
fn session_expires() {
    let read = |value: &str| request(&[expires(value)]).session_expires().and_then(Result::ok);
    let expect = |secs, refresher| Some(SessionExpires { secs, refresher });
    assert_eq!(read("1800"), expect(1800, None));
    assert_eq!(read("90 ; Refresher = UAC ;x=y"), expect(90, Some(Role::Uac)));
    assert_eq!(read("99999999999;refresher=uas"), expect(u32::MAX, Some(Role::Uas)));
    assert_eq!(read("90;refresher=me"), expect(90, None));
    assert_eq!(read(""), None);
    assert_eq!(read("x;refresher=uac"), None);
    assert_eq!(request(&[]).session_expires(), None);
}

/// TIM-01: the table of RFC 4028 §9: who refreshes, by what the request says and whether its sender does timers.
#[test]
fn a_uas_answers() {
    let us = |refresher| policy(TimerMode::Accept, refresher);
    for (headers, preferred, secs, refresher, require) in [
        (vec![TIMER, expires("1800")], Refresher::Peer, 1800, Refresher::Peer, true),
        (vec![TIMER, expires("1800")], Refresher::Us, 1800, Refresher::Us, true),
        (vec![TIMER, expires("1800;refresher=uac")], Refresher::Us, 1800, Refresher::Peer, true),
        (vec![TIMER, expires("90;refresher=uas")], Refresher::Peer, 90, Refresher::Us, true),
        (vec![(Name::Require, "timer"), expires("90;refresher=uac")], Refresher::Us, 90, Refresher::Peer, true),
        (vec![expires("1800")], Refresher::Peer, 1800, Refresher::Us, false),
        (vec![expires("1800;refresher=uac")], Refresher::Peer, 1800, Refresher::Us, false),
    ] {
        let answer = answer(&us(preferred), &request(&headers), None);
        assert_eq!(answer, Answer::On { agreed: Agreed { secs, refresher }, require }, "{headers:?}");
        let role = if refresher == Refresher::Us { "uas" } else { "uac" };
        let written = answer.headers();
        assert_eq!(written[0], (Name::SessionExpires, format!("{secs};refresher={role}")));
        assert_eq!(written.get(1).is_some_and(|(name, value)| *name == Name::Require && value == "timer"), require);
    }
}

/// TIM-01: below Min-SE: 422 to who can read it, no timer for who cannot; our own Min-SE counts, but never below 90.
#[test]
fn too_small() {
    let accept = TimerPolicy::default();
    assert_eq!(answer(&accept, &request(&[TIMER, expires("89")]), None), Answer::TooSmall(90));
    assert_eq!(answer(&accept, &request(&[expires("89")]), None), Answer::Off);
    let larger = TimerPolicy { min_se: Duration::from_secs(900), ..accept };
    assert_eq!(answer(&larger, &request(&[TIMER, expires("899")]), None), Answer::TooSmall(900));
    let smaller = TimerPolicy { min_se: Duration::from_secs(1), ..accept };
    assert_eq!(answer(&smaller, &request(&[TIMER, expires("20")]), None), Answer::TooSmall(90));
    let off = policy(TimerMode::Off, Refresher::Peer);
    assert_eq!(answer(&off, &request(&[TIMER, expires("20")]), None), Answer::Off);
    assert_eq!(answer(&off, &request(&[TIMER, expires("1800")]), None), Answer::Off);
}

/// TIM-01: nothing asked for: off, or by us with `Offer`; a timer that runs goes on unless only the peer would keep it up.
#[test]
fn nothing_asked_for() {
    let (accept, offer) = (TimerPolicy::default(), policy(TimerMode::Offer, Refresher::Peer));
    let on = |secs, refresher, require| Answer::On { agreed: Agreed { secs, refresher }, require };
    let (plain, timer) = (request(&[]), request(&[TIMER]));
    assert_eq!(answer(&accept, &timer, None), Answer::Off);
    assert_eq!(answer(&offer, &timer, None), on(1800, Refresher::Peer, true));
    assert_eq!(answer(&offer, &request(&[TIMER, (Name::MinSe, "3600")]), None), on(3600, Refresher::Peer, true));
    assert_eq!(answer(&offer, &plain, None), on(1800, Refresher::Us, false));
    let running = |refresher| Some(Agreed { secs: 100, refresher });
    assert_eq!(answer(&accept, &timer, running(Refresher::Peer)), on(100, Refresher::Peer, true));
    assert_eq!(answer(&accept, &plain, running(Refresher::Us)), on(100, Refresher::Us, false));
    assert_eq!(answer(&accept, &plain, running(Refresher::Peer)), Answer::Off);
}

/// TIM-04: what our requests ask for, and what a 422 makes of it.
#[test]
fn a_uac_asks() {
    let offer = |refresher| policy(TimerMode::Offer, refresher);
    let expires = |value: &str| (Name::SessionExpires, value.to_owned());
    assert_eq!(ask(&offer(Refresher::Us), None, 0), [expires("1800;refresher=uac")]);
    assert_eq!(ask(&offer(Refresher::Peer), None, 0), [expires("1800;refresher=uas")]);
    let raised_to = ask(&offer(Refresher::Us), None, 3600);
    assert_eq!(raised_to, [expires("3600;refresher=uac"), (Name::MinSe, "3600".to_owned())]);
    assert_eq!(ask(&TimerPolicy::default(), None, 0), []);
    assert_eq!(ask(&policy(TimerMode::Off, Refresher::Us), None, 3600), []);
    let running = Some(Agreed { secs: 200, refresher: Refresher::Peer });
    assert_eq!(ask(&TimerPolicy::default(), running, 0), [expires("200;refresher=uas")]);
    let refusal = request(&[(Name::MinSe, "900")]);
    assert_eq!((raised(&refusal, 0), raised(&refusal, 900), raised(&request(&[]), 0)), (Some(900), None, None));
}

/// TIM-04: a 2xx without Session-Expires: off, or we refresh alone.
#[test]
fn a_uac_hears() {
    let (accept, offer) = (TimerPolicy::default(), policy(TimerMode::Offer, Refresher::Peer));
    let heard = |policy: &TimerPolicy, value: Option<&str>, running| {
        let headers: Vec<_> = value.map(expires).into_iter().collect();
        agreed(policy, &request(&headers), running).map(|agreed| (agreed.secs, agreed.refresher))
    };
    for policy in [&accept, &offer] {
        assert_eq!(heard(policy, Some("900;refresher=uas"), None), Some((900, Refresher::Peer)));
        assert_eq!(heard(policy, Some("900;refresher=uac"), None), Some((900, Refresher::Us)));
        assert_eq!(heard(policy, Some("900"), None), Some((900, Refresher::Us)));
        assert_eq!(heard(policy, Some("0;refresher=uas"), None), Some((90, Refresher::Peer)));
        assert_eq!(heard(policy, Some("0;refresher=uac"), None), Some((10, Refresher::Us)));
    }
    assert_eq!(heard(&accept, None, None), None);
    assert_eq!(heard(&offer, None, None), Some((1800, Refresher::Us)));
    let running = |refresher| Some(Agreed { secs: 100, refresher });
    assert_eq!(heard(&accept, None, running(Refresher::Us)), Some((100, Refresher::Us)));
    assert_eq!(heard(&accept, None, running(Refresher::Peer)), None);
    assert_eq!(heard(&policy(TimerMode::Off, Refresher::Us), Some("900"), None), None);
}

/// TIM-02, TIM-03: half the interval; expiry minus the smaller of 32 s and a third.
#[test]
fn deadlines() {
    for (secs, refresh, expiry) in [(90, 45, 60), (1800, 900, 1768), (96, 48, 64)] {
        let agreed = Agreed { secs, refresher: Refresher::Peer };
        assert_eq!(agreed.refresh_after(), Duration::from_secs(refresh));
        assert_eq!(agreed.expires_after(), Duration::from_secs(expiry));
        assert_eq!(Agreed { refresher: Refresher::Us, ..agreed }.expires_after(), Duration::from_secs(secs.into()));
    }
}
