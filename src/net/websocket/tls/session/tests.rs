use super::super::peer::{Peer, Raw, SUITES, TLS12, TLS13, connected, receive, send, serving, trusting};
use super::*;
use proptest::prelude::*;
use rustls::HandshakeKind;
use std::io::Write;

fn raw(suite: rustls::SupportedCipherSuite) -> (Session, Raw) {
    let (session, peer) = connected(suite);
    (session, peer.raw())
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn every_cipher_carries_payload_both_ways_in_any_pieces() {
    for suite in SUITES {
        for piece in [1, 3, 1_000, usize::MAX] {
            let (mut session, mut peer) = connected(suite);
            for length in [1, 1_400, 16_384, 16_385, 50_000] {
                let said = payload(length);
                let records = peer.say(&said);
                assert_eq!(receive(&mut session, &records, piece), (said.clone(), None), "{suite:?} {piece} {length}");
                assert!(session.rest().is_empty());
                for piece in send(&mut session, &said).chunks(piece) {
                    peer.write_all(piece).unwrap();
                }
                assert_eq!(std::mem::take(&mut peer.heard), said, "{suite:?} {piece} {length}");
            }
        }
    }
}

/// Records that came together are opened to one run of payload, and a record that is half there stays sealed.
#[test]
fn payload_lies_at_the_front() {
    let (mut session, mut peer) = connected(TLS13);
    let mut bytes = [peer.say(b"one "), peer.say(b"two "), peer.say(b"three")].concat();
    let whole = bytes.len();
    bytes.extend_from_slice(&peer.say(b"four")[..9]);
    let opened = session.open(&mut bytes);
    assert_eq!(opened, Opened { payload: 13, taken: whole, ended: None });
    assert_eq!(&bytes[..13], b"one two three");
}

/// RFC 8446 §4.6.3, both directions: the peer changes its key and wants ours changed.
#[test]
fn new_keys_are_followed_and_answered() {
    let (mut session, mut peer) = connected(TLS13);
    for round in 0..3 {
        let before = peer.say(b"before ");
        peer.server.refresh_traffic_keys().unwrap();
        let records = [before, peer.say(b"after")].concat();
        assert_eq!(receive(&mut session, &records, 7), (b"before after".to_vec(), None), "{round}");
        let (updated, plain) = (send(&mut session, b"hello "), send(&mut session, b"again!"));
        assert!(updated.len() > plain.len(), "the key update was not answered");
        peer.write_all(&updated).unwrap();
        peer.write_all(&plain).unwrap();
        assert_eq!(std::mem::take(&mut peer.heard), b"hello again!");
    }
}

/// RFC 8446 §5.5: before a key has sealed too much, TLS 1.3 has a new one; TLS 1.2 has none.
#[test]
fn a_worn_out_key_is_changed_or_refused() {
    let (mut session, mut peer) = connected(TLS13);
    for _ in 0..3 {
        session.wear_out();
        let records = send(&mut session, &payload(40_000));
        peer.write_all(&records).unwrap();
    }
    assert_eq!(peer.heard.len(), 120_000);

    let (mut session, mut peer) = connected(TLS12);
    session.wear_out();
    assert!(session.seal(FRONT, &mut vec![0; 2 * FRONT]).unwrap_err().contains("TLS 1.3"));
    let mut goodbye = Vec::new();
    session.close(&mut goodbye);
    peer.write_all(&goodbye).unwrap();
    assert!(peer.server.process_new_packets().unwrap().peer_has_closed());
}

/// A second connection of a provider resumes the first, in both versions: its set-up costs no certificate.
#[test]
fn tickets_are_kept_and_used() {
    for suite in [TLS13, TLS12] {
        let (ours, theirs) = (trusting(), serving(&[suite]));
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut peer = Peer::new(theirs.clone());
            let (mut session, _) = ours.session("localhost", &mut peer).unwrap();
            assert_eq!(peer.server.handshake_kind(), Some(expected), "{suite:?}");
            let records = [peer.records(), peer.say(b"welcome")].concat();
            assert_eq!(receive(&mut session, &records, 50), (b"welcome".to_vec(), None), "{suite:?}");
        }
    }
}

/// RFC 5246 §7.4.1.1: a service that wants a new handshake is told no, and hears us on.
#[test]
fn renegotiation_is_refused() {
    let (mut session, mut raw) = raw(TLS12);
    for _ in 0..3 {
        let asked = [raw.record(HANDSHAKE, &[HELLO_REQUEST, 0, 0, 0]), raw.record(APPLICATION_DATA, b"x")].concat();
        assert_eq!(receive(&mut session, &asked, usize::MAX), (b"x".to_vec(), None));
        let records = send(&mut session, b"payload");
        assert_eq!(raw.opened(&records), (ALERT, vec![WARNING, NO_RENEGOTIATION]));
        let refusal = first(&records).unwrap().unwrap();
        assert_eq!(raw.opened(&records[refusal..]), (APPLICATION_DATA, b"payload".to_vec()));
    }
}

/// RFC 8446 §5.1 and §5.4: a ticket in pieces, payload with padding.
#[test]
fn fragments_are_joined_and_padding_is_taken_off() {
    let (mut session, mut raw) = raw(TLS13);
    // Lifetime, age, nonce, ticket, extensions.
    let ticket = [&[NEW_SESSION_TICKET, 0, 0, 34, 0, 0, 1, 0, 1, 2, 3, 4, 1, 9, 0, 20][..], &[7; 20], &[0, 0]].concat();
    let pieces: Vec<u8> = ticket.chunks(3).flat_map(|piece| raw.record(HANDSHAKE, piece)).collect();
    let padded = raw.record(0, &[b"padded".as_slice(), &[APPLICATION_DATA], &[0; 300]].concat());
    assert_eq!(receive(&mut session, &[pieces, padded].concat(), 11), (b"padded".to_vec(), None));
    assert!(session.message.is_empty());
}

/// Each of these ends the connection with the alert that RFC 8446 §6.2 has for it; what came before it is heard, what follows is not.
#[test]
fn what_a_service_may_not_send_ends_the_connection() {
    let update = |request: u8| [KEY_UPDATE, 0, 0, 1, request];
    let cases: [(&str, rustls::SupportedCipherSuite, u8, Vec<u8>, u8); 13] = [
        ("no such key update", TLS13, HANDSHAKE, update(2).to_vec(), UNEXPECTED_MESSAGE),
        ("key update in TLS 1.2", TLS12, HANDSHAKE, update(0).to_vec(), UNEXPECTED_MESSAGE),
        ("two messages around a new key", TLS13, HANDSHAKE, [update(0), update(0)].concat(), UNEXPECTED_MESSAGE),
        ("hello request in TLS 1.3", TLS13, HANDSHAKE, vec![HELLO_REQUEST, 0, 0, 0], UNEXPECTED_MESSAGE),
        ("a certificate request", TLS13, HANDSHAKE, vec![13, 0, 0, 1, 0], UNEXPECTED_MESSAGE),
        ("a bad ticket", TLS13, HANDSHAKE, vec![NEW_SESSION_TICKET, 0, 0, 1, 0], DECODE_ERROR),
        ("nothing of a handshake", TLS13, HANDSHAKE, vec![], UNEXPECTED_MESSAGE),
        ("change of cipher", TLS13, CHANGE_CIPHER_SPEC, vec![1], UNEXPECTED_MESSAGE),
        ("change of cipher in TLS 1.2", TLS12, CHANGE_CIPHER_SPEC, vec![1], UNEXPECTED_MESSAGE),
        ("a record of no kind", TLS13, 99, vec![1], UNEXPECTED_MESSAGE),
        ("padding alone", TLS13, 0, vec![0; 40], UNEXPECTED_MESSAGE),
        ("half an alert", TLS13, ALERT, vec![1], DECODE_ERROR),
        ("a hello request with content", TLS12, HANDSHAKE, vec![HELLO_REQUEST, 0, 0, 1, 0], UNEXPECTED_MESSAGE),
    ];
    for (name, suite, kind, content, alert) in cases {
        let (mut session, mut raw) = raw(suite);
        let records =
            [raw.record(APPLICATION_DATA, b"heard"), raw.record(kind, &content), raw.record(APPLICATION_DATA, b"no")];
        let (heard, ended) = receive(&mut session, &records.concat(), usize::MAX);
        let (ended, mut out) = (ended.expect(name), Vec::new());
        assert_eq!((heard.as_slice(), ended.alert), (&b"heard"[..], Some(alert)), "{name}: {}", ended.why);
        session.alert(&ended, &mut out);
        assert_eq!(raw.opened(&out), (ALERT, vec![FATAL, alert]), "{name}");
        assert!(session.open(&mut raw.record(APPLICATION_DATA, b"more")).ended.is_some(), "{name}");
        out.clear();
        session.close(&mut out);
        assert!(out.is_empty(), "{name}: a second alert");
    }
}

/// A service that sends nothing but warnings or empty records is let go; payload between them makes it good.
#[test]
fn records_without_payload_are_counted() {
    let most = usize::from(MAX_COST / RECORD_COST);
    for (suite, kind, content) in
        [(TLS13, APPLICATION_DATA, &[][..]), (TLS12, ALERT, &[WARNING, 41]), (TLS13, ALERT, &[WARNING, USER_CANCELED])]
    {
        let (mut session, mut raw) = raw(suite);
        session.cost = 0;
        let mut say =
            |kind, content: &[u8], times| -> Vec<u8> { (0..times).flat_map(|_| raw.record(kind, content)).collect() };
        let (flood, one) = (say(kind, content, most), say(APPLICATION_DATA, b"x", 1));
        assert_eq!(receive(&mut session, &[flood, one].concat(), usize::MAX), (b"x".to_vec(), None));
        for _ in 0..3 {
            let paid = say(APPLICATION_DATA, b"x", usize::from(RECORD_COST));
            assert_eq!(receive(&mut session, &paid, usize::MAX).1, None);
            assert_eq!(receive(&mut session, &say(kind, content, 1), usize::MAX), (vec![], None));
        }
        assert_eq!(
            receive(&mut session, &say(kind, content, 1), usize::MAX).1.expect("let go").alert,
            Some(UNEXPECTED_MESSAGE)
        );
    }
}

/// New keys again and again are work for us: a service that sends them alone, or with a little payload between them, is let go; one that
/// has something to say between them is not.
#[test]
fn new_keys_have_their_price() {
    for (between, expected) in [(0, Some(UNEXPECTED_MESSAGE)), (5, Some(UNEXPECTED_MESSAGE)), (128, None)] {
        let (mut session, mut peer) = connected(TLS13);
        let mut ended = None;
        for _ in 0..40 {
            peer.server.refresh_traffic_keys().unwrap();
            let mut records = peer.records();
            (0..between).for_each(|_| records.extend(peer.say(b"x")));
            ended = ended.or(receive(&mut session, &records, usize::MAX).1);
        }
        assert_eq!(ended.and_then(|ended: Ended| ended.alert), expected, "{between}");
    }
}

/// A handshake message that never ends is cut off, and payload inside one is no payload.
#[test]
fn a_handshake_message_has_an_end() {
    let (mut session, mut raw) = raw(TLS13);
    let long = [&[NEW_SESSION_TICKET, 255, 255, 255][..], &[0; 16_000]].concat();
    let records: Vec<u8> = (0..6).flat_map(|_| raw.record(HANDSHAKE, &long)).collect();
    assert_eq!(receive(&mut session, &records, usize::MAX).1.expect("cut off").alert, Some(DECODE_ERROR));
    assert!(session.message.capacity() <= 2 * MAX_HANDSHAKE);

    let (mut session, mut raw) = self::raw(TLS13);
    let records = [raw.record(HANDSHAKE, &[NEW_SESSION_TICKET, 0]), raw.record(APPLICATION_DATA, b"no")].concat();
    let (heard, ended) = receive(&mut session, &records, usize::MAX);
    assert_eq!((heard, ended.expect("refused").alert), (vec![], Some(UNEXPECTED_MESSAGE)));
}

/// RFC 8446 §6.1, §6.2: the peer's end, and its reasons.
#[test]
fn alerts_of_the_peer_are_told() {
    for suite in [TLS13, TLS12] {
        let (mut session, mut peer) = connected(suite);
        let last = peer.say(b"bye");
        peer.server.send_close_notify();
        let (heard, ended) = receive(&mut session, &[last, peer.records()].concat(), 5);
        assert_eq!((heard, ended.expect("closed").alert), (b"bye".to_vec(), None));
        let mut goodbye = Vec::new();
        session.close(&mut goodbye);
        peer.write_all(&goodbye).unwrap();
        assert!(peer.server.process_new_packets().unwrap().peer_has_closed());

        let (mut session, mut raw) = raw(suite);
        let ended = receive(&mut session, &raw.record(ALERT, &[FATAL, 80]), usize::MAX).1.expect("broken off");
        assert!(ended.why.contains("InternalError") && ended.alert.is_none(), "{ended:?}");
    }
}

/// A length that no record has is refused at its header: nobody waits, or keeps memory, for it.
#[test]
fn a_record_that_is_too_long_is_not_waited_for() {
    let (mut session, _peer) = connected(TLS13);
    let ended = session.open(&mut [APPLICATION_DATA, 3, 3, 0x49, 0]).ended.expect("refused");
    assert_eq!(ended.alert, Some(RECORD_OVERFLOW));
}

/// Whatever is changed in a record, or left out, nothing of it is heard.
#[test]
fn a_changed_record_is_never_heard() {
    for suite in SUITES {
        let (mut session, mut peer) = connected(suite);
        let record = peer.say(&payload(100));
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1 << (at % 8);
            let opened = session.open(&mut changed);
            // The length may ask for more than there is.
            let waits = opened.taken == 0 && (3..5).contains(&at);
            // TLS 1.3 gives no meaning to the version, but has it authenticated.
            assert!(opened.payload == 0 && (waits || opened.ended.is_some()), "{suite:?} {at}: {opened:?}");
        }
        assert_eq!(receive(&mut session, &record, usize::MAX), (payload(100), None));
        assert!(session.open(&mut record.clone()).ended.is_some(), "{suite:?}: a record was taken twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Bytes of no peer of ours: nothing is heard, nothing panics.
    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..600), tls13 in any::<bool>()) {
        let (mut session, _peer) = connected(if tls13 { TLS13 } else { TLS12 });
        let (heard, _) = receive(&mut session, &noise, 64);
        prop_assert!(heard.is_empty());
    }
}
