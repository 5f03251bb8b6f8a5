//! RFC 4475: the outcome of each file, for the user agent by itself and for the running server (tests/data/rfc4475/EXPECT.md; where a row
//! differs, it says why).
#![allow(dead_code, reason = "closed and waiting streams are the running server's")]

/// What comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Status(u16),
    /// 100 and more: the call is taken.
    Call,
    /// Nothing; the next message is answered.
    Silence,
    /// A stream that cannot be cut is closed (PAR-06).
    Closed,
    /// The announced length is more than the file has: the rest is awaited until the deadline of a message (PAR-05, TRN-09).
    Waits,
}
use Outcome::{Call, Silence, Status};

/// What a user agent makes of each file over UDP.
pub const RFC4475: [(&str, Outcome); 50] = [
    ("wsinv", Status(481)),
    ("intmeth", Status(501)),
    ("esc01", Call),
    ("escnull", Status(405)),
    ("esc02", Status(501)),
    ("lwsdisp", Status(200)),
    ("longreq", Call),
    ("dblreq", Status(405)),
    ("semiuri", Status(200)),
    ("transports", Status(200)),
    ("mpart01", Status(405)),
    ("unreason", Silence),
    ("noreason", Silence),
    ("badinv01", Status(400)),
    ("clerr", Status(400)),
    ("ncl", Status(400)),
    ("scalar02", Status(400)),
    ("scalarlg", Silence),
    ("quotbal", Status(400)),
    ("ltgtruri", Status(400)),
    ("lwsruri", Status(400)),
    ("lwsstart", Status(400)),
    ("trws", Status(400)),
    ("escruri", Status(400)),
    // A Date that is none is no reason to refuse a call.
    ("baddate", Call),
    ("regbadct", Status(400)),
    ("badaspec", Status(400)),
    ("baddn", Status(400)),
    ("badvers", Status(505)),
    ("mismatch01", Status(400)),
    ("mismatch02", Status(400)),
    ("bigcode", Silence),
    ("badbranch", Status(200)),
    // Of Via, To, From and Call-ID, which a 400 must copy, it has Via alone: no 400 can be built, so it is dropped (EXPECT: 400).
    ("insuf", Silence),
    ("unkscm", Status(416)),
    ("novelsc", Status(416)),
    ("unksm2", Status(405)),
    ("bext01", Status(420)),
    ("invut", Status(415)),
    ("regaut01", Status(405)),
    ("multi01", Status(400)),
    ("mcl01", Status(400)),
    ("bcast", Silence),
    ("zeromf", Status(200)),
    ("cparam01", Status(405)),
    ("cparam02", Status(405)),
    ("regescrt", Status(405)),
    ("sdp01", Status(406)),
    ("inv2543", Call),
    ("test", Silence),
];
