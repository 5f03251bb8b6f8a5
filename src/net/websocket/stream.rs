//! The connection under a WebSocket, plain or TLS. While it is upgraded it blocks and is read as a stream; after that the polled socket
//! has its parts.

use super::short::Short;
use super::tls::{FRONT, Session, TlsConfig};
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Bytes of TLS taken with one read.
const ROOM: usize = 4 << 10;

pub(super) struct Stream {
    pub socket: Short<TcpStream>,
    pub tls: Option<Box<Session>>,
    /// Payload of TLS that is not read yet.
    pub plain: Vec<u8>,
}

impl Stream {
    pub fn plain(socket: Short<TcpStream>) -> Stream {
        Stream { socket, tls: None, plain: Vec::new() }
    }

    /// Shakes hands with `host`.
    pub fn tls(config: &TlsConfig, host: &str, mut socket: Short<TcpStream>) -> Result<Stream, String> {
        let (session, plain) = config.session(host, &mut socket)?;
        Ok(Stream { socket, tls: Some(Box::new(session)), plain })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        let mut bytes = tls.rest().to_vec();
        while self.plain.is_empty() {
            let opened = tls.open(&mut bytes);
            self.plain.extend_from_slice(bytes.get(..opened.payload).unwrap_or_default());
            bytes.drain(..opened.taken);
            tls.keep(&bytes);
            if !self.plain.is_empty() {
                break;
            }
            if let Some(ended) = opened.ended {
                let mut alert = Vec::new();
                tls.alert(&ended, &mut alert);
                let _ = self.socket.write_all(&alert);
                return Err(io::Error::other(ended.why));
            }
            let begin = bytes.len();
            bytes.resize(begin + ROOM, 0);
            let n = self.socket.read(bytes.get_mut(begin..).unwrap_or_default())?;
            bytes.truncate(begin + n);
            if n == 0 {
                return Ok(0);
            }
        }
        let n = buffer.len().min(self.plain.len());
        buffer.iter_mut().zip(self.plain.drain(..n)).for_each(|(to, from)| *to = from);
        Ok(n)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        let mut records = [&[0; FRONT], bytes].concat();
        let begin = tls.seal(FRONT, &mut records).map_err(io::Error::other)?;
        self.socket.write_all(records.get(begin..).unwrap_or_default())?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
