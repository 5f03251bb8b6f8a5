use super::*;
use proptest::prelude::*;

/// An unmasked frame, as a server sends it.
fn served(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n @ 126..=65_535 => {
            out.push(126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// What `stream` says when it comes in pieces of these lengths, one a round.
fn read(stream: &[u8], pieces: impl IntoIterator<Item = usize>) -> Result<Vec<String>, String> {
    let (mut frames, mut inbox, mut said, mut rest) = (Frames::default(), Inbox::default(), Vec::new(), stream);
    for piece in pieces {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        rest = later;
        frames.begin(&mut inbox);
        inbox.put(now);
        inbox.opened(now.len(), now.len());
        while let Some(event) = frames.next(&mut inbox)? {
            said.push(match event {
                Event::Text(place) => inbox.text(place)?.to_owned(),
                Event::Ping(range) => format!("ping {:?}", inbox.bytes(range)),
                Event::Close { code, reason } => format!("close {code:?} {reason}"),
            });
        }
        frames.end(&mut inbox);
        if rest.is_empty() {
            break;
        }
    }
    Ok(said)
}

fn whole(stream: &[u8]) -> Result<Vec<String>, String> {
    read(stream, [stream.len()])
}

#[test]
fn messages_come_in_order() {
    let stream = [
        served(0x81, b"one"),
        served(0x82, b"binary is passed over"),
        // A message of three frames with a ping between them.
        served(0x01, b"tw"),
        served(0x89, b"!"),
        served(0x00, b""),
        served(0x80, b"o"),
        served(0x8A, b"a pong nobody asked for"),
        served(0x81, "x".repeat(70_000).as_bytes()),
        served(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let said = whole(&stream).unwrap();
    assert_eq!(said[..3], ["one", "ping [33]", "two"]);
    assert_eq!((said[3].len(), said[4].as_str(), said.len()), (70_000, "close Some(1000) bye", 5));
}

/// RFC 6455: what a client must fail the connection for.
#[test]
fn breaches_end_the_connection() {
    let mut masked = served(0x81, b"abcd");
    masked[1] |= 0x80;
    let announced = |length: u64| [&[0x81, 127], &length.to_be_bytes()[..]].concat();
    let rows: [(&str, Vec<u8>); 13] = [
        ("reserved bit", served(0xC1, b"x")),
        ("reserved data opcode", served(0x83, b"x")),
        ("reserved control opcode", served(0x8B, b"x")),
        ("masked by the server", masked),
        ("control frame in pieces", served(0x09, b"x")),
        ("control frame of 126 bytes", served(0x89, &[0; 126])),
        ("continuation of nothing", served(0x80, b"x")),
        ("message inside a message", [served(0x01, b"x"), served(0x81, b"y")].concat()),
        ("text that is not UTF-8", served(0x81, b"\xff")),
        ("half a close status", served(0x88, b"\x03")),
        ("a close status nobody may send", served(0x88, b"\x03\xed")),
        ("longer than the limit", announced(MAX_MESSAGE as u64 + 1)),
        ("longer than any memory", announced(u64::MAX)),
    ];
    for (name, stream) in rows {
        assert!(whole(&stream).is_err(), "{name}");
    }
    // Pieces count together, before the memory is taken.
    let half = served(0x01, &vec![b'x'; MAX_MESSAGE / 2]);
    let rest = [&[0x80, 127], &(MAX_MESSAGE as u64 / 2 + 1).to_be_bytes()[..]].concat();
    assert!(whole(&[half, rest].concat()).is_err());
}

/// What is only announced costs nothing, and a worker's buffer does not stay large.
#[test]
fn memory_follows_what_came() {
    let (mut frames, mut inbox) = (Frames::default(), Inbox::default());
    let stream = [&[0x81, 127], &(MAX_MESSAGE as u64).to_be_bytes()[..]].concat();
    frames.begin(&mut inbox);
    inbox.room()[..stream.len()].copy_from_slice(&stream);
    inbox.filled(stream.len());
    assert_eq!(frames.next(&mut inbox), Ok(None));
    frames.end(&mut inbox);
    assert!(inbox.bytes.capacity() + frames.rest.capacity() < 64 << 10);
    inbox.bytes.resize(KEPT + 1, 0);
    frames.begin(&mut inbox);
    frames.end(&mut inbox);
    assert_eq!(inbox.bytes.capacity(), 0);
}

/// §5.3: masked, whatever the length; unmasked again it is the payload.
#[test]
fn our_frames_are_masked() {
    let mut out = Vec::new();
    for length in [0, 1, 3, 15, 16, 17, 125, 126, 1_337, 65_535, 65_536] {
        let payload: Vec<u8> = (0..length).map(|n: usize| (n * 31) as u8).collect();
        frame(TEXT, &payload, 0, &mut out);
        let mut cursor = Cursor::new(&out[..]);
        let (header, announced) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        let (mask, begin) = (header.mask.unwrap(), cursor.position() as usize);
        assert_eq!((header.opcode, header.is_final, announced), (TEXT, true, length as u64));
        let unmasked: Vec<u8> = out[begin..].iter().enumerate().map(|(i, b)| b ^ mask[i % 4]).collect();
        assert_eq!(unmasked, payload);
    }
    let masks: std::collections::HashSet<[u8; 4]> = (0..100).map(|_| entropy::mask()).collect();
    assert!(masks.len() > 95, "each frame has a mask of its own");
}

proptest! {
    /// However the stream is cut, the same messages come out.
    #[test]
    fn any_cut_gives_the_same(
        lengths in proptest::collection::vec((0usize..3, 0usize..90_000), 1..8),
        pieces in proptest::collection::vec(1usize..80_000, 1..40),
    ) {
        let mut stream = Vec::new();
        for (kind, length) in lengths {
            let text = "abcdefg".repeat(length / 7 + 1);
            let text = &text.as_bytes()[..length];
            match kind {
                0 => stream.extend(served(0x81, text)),
                1 => stream.extend([served(0x01, text), served(0x89, b"p"), served(0x80, text)].concat()),
                _ => stream.extend(served(0x89, &text[..length.min(125)])),
            }
        }
        let pieces = pieces.into_iter().chain(std::iter::repeat(50_000));
        prop_assert_eq!(read(&stream, pieces), whole(&stream));
    }

    #[test]
    fn no_bytes_panic(stream in proptest::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
        let _ = read(&stream, std::iter::repeat(piece));
    }
}
