use super::super::testing::invite;
use super::super::{NumberRules, Trunk};
use super::*;

fn trunk(places: &[DialledFrom]) -> Trunk {
    Trunk { dialled: places.to_vec(), ..Trunk::new("t") }
}

fn found(places: &[DialledFrom], uri: &str, headers: &[&str]) -> (String, Option<DialledFrom>) {
    let Dialled { number, from } = dialled(&trunk(places), "rnd8f2", &invite(uri, headers));
    (number, from)
}

/// AUT-09: the first place of the list that has a number wins.
#[test]
fn places_are_asked_in_order() {
    use DialledFrom::*;
    let to = "To: <sip:+15550100200@pbx.example.com>";
    let pcpid = "P-Called-Party-ID: <sip:+15550100300@example.com>";
    let history =
        "History-Info: <sip:+15550100500@h>;index=1.1;mp=1, <sip:+15550100400@h?Reason=SIP%3Bcause%3D302>;index=1";
    let diversion = "Diversion: <tel:+15550100700>;reason=user-busy, <tel:+15550100600>;reason=no-answer";
    let x = "X-DID: +1 (555) 010-0800";
    let all = [to, pcpid, history, diversion, x];
    let uri = "sip:+15550100100@192.0.2.10;user=phone";
    let rows = [
        (RequestUri, "+15550100100"),
        (To, "+15550100200"),
        (PCalledPartyId, "+15550100300"),
        (HistoryInfo, "+15550100400"),
        (Diversion, "+15550100600"),
        (Header("x-did".into()), "+15550100800"),
    ];
    for (place, number) in rows {
        assert_eq!(found(&[place.clone(), RequestUri], uri, &all), (number.to_owned(), Some(place)));
    }
    let order = [PCalledPartyId, To, RequestUri];
    assert_eq!(found(&order, uri, &[to]).0, "+15550100200");
    assert_eq!(found(&order, uri, &["To: <sip:pbx.example.com>"]), ("+15550100100".into(), Some(RequestUri)));
    assert_eq!(found(&order, "sip:192.0.2.10", &["To: <sip:192.0.2.10>"]), (String::new(), None));
}

/// AUT-06, AUT-09: the user of our own Contact is no number, so the next place is asked.
#[test]
fn the_contact_user_is_nobodys_number() {
    use DialledFrom::*;
    let to = "To: <sip:4930123456@sip.example.com>";
    assert_eq!(found(&[RequestUri, To], "sip:rnd8f2@192.0.2.10", &[to]).0, "4930123456");
    assert_eq!(found(&[RequestUri, To], "sip:100@192.0.2.10", &[to]).0, "100");
}

/// AUT-09: parameters in the user part, escapes, names; a header that cannot be read is no place.
#[test]
fn odd_places() {
    use DialledFrom::*;
    assert_eq!(found(&[RequestUri], "sip:+4930123456;uniq=A5;npdi@192.0.2.10;user=phone", &[]).0, "+4930123456");
    assert_eq!(found(&[RequestUri], "sip:%2B4930123456@192.0.2.10", &[]).0, "+4930123456");
    assert_eq!(found(&[RequestUri], "sip:reception@192.0.2.10", &[]).0, "reception");
    assert_eq!(found(&[RequestUri], "sip:a%00b@192.0.2.10", &[]).0, "");
    let broken = "History-Info: nonsense, <sip:+15550100400@h>;index=1.x, <sip:+15550100900@h>;index=2";
    assert_eq!(found(&[HistoryInfo], "sip:1@h", &[broken]).0, "+15550100900");
    assert_eq!(found(&[Diversion, RequestUri], "sip:1@h", &["Diversion: <<>>"]).0, "1");
}

/// AUT-09: RFC 7044: `mp` and `rc` name the entry that was dialled, whatever stands first.
#[test]
fn history_names_the_first_target() {
    let headers = [
        "History-Info: <sip:proxy@h>;index=1",
        "History-Info: <sip:+15550100400@h>;index=1.1;np=1",
        "History-Info: <sip:+15550100500;cause=486@h>;index=1.1.1;mp=1.1",
    ];
    assert_eq!(found(&[DialledFrom::HistoryInfo], "sip:1@h", &headers).0, "+15550100400");
    let many: Vec<String> = (1..200).map(|n| format!("<sip:{n}@h>;index={n}")).collect();
    let long = format!("History-Info: {}", many.join(", "));
    assert_eq!(found(&[DialledFrom::HistoryInfo], "sip:9@h", &[&long]).0, "1");
}

/// AUT-11: what is found is normalised by the trunk's rules.
#[test]
fn numbers_are_normalised() {
    let numbers = NumberRules { country: Some("49".into()), national_prefix: "0".into(), ..NumberRules::default() };
    let trunk = Trunk { numbers, ..Trunk::new("t") };
    assert_eq!(dialled(&trunk, "", &invite("sip:030123456@h", &[])).number, "+4930123456");
    assert_eq!(dialled(&trunk, "", &invite("tel:030-123456", &[])).number, "+4930123456");
}
