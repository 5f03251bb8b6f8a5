//! I/O: the only place with sockets and the clock. Nothing here knows of calls, and nothing here spawns.
//!
//! | file | role |
//! |---|---|
//! | `clock` | monotonic and wall clock, the media worker's absolute sleep |
//! | `listen` | SIP's UDP sockets, TCP and TLS listeners |
//! | `udp` | SIP datagrams in batches |
//! | `tcp` | one SIP stream connection: handshake, framing, deadlines, bounded write queue |
//! | `tls` | TLS for SIP in both directions (door of tokio-rustls and webpki) |
//! | `dns` | DNS questions of RFC 3263 (door of hickory-resolver) |
//! | `connections` | the table of stream connections and its caps |
//! | `rtp_port` | RTP/RTCP port pairs with quarantine |
//! | `entropy` | seeds from the operating system |
//! | `socket` | plain sockets for the test phone |
//! | `epoll` | level-triggered readiness (door of rustix's epoll) |
//! | `websocket` | the Realtime WebSocket of one call (door of tungstenite and rustls) |

pub mod clock;
pub mod connections;
pub mod dns;
pub mod entropy;
pub mod epoll;
pub mod listen;
pub mod rtp_port;
pub mod socket;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod websocket;
