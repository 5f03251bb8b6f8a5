//! The TLS handshake over a blocking socket with a deadline, by rustls; then its keys for [`Session`].
//!
//! In: a configuration, a name, a stream. Out: the connection past its handshake, or a sentence why there is none.

use super::session::Session;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{ClientConfig, ProtocolVersion};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

/// Most bytes of the handshake that wait for the rest of a message.
const MAX_WAITING: usize = 256 << 10;
/// Room for one read.
const ROOM: usize = 4 << 10;

/// Shakes hands. The second value is payload that came before ours could go.
pub(super) fn shake(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: &mut (impl Read + Write),
) -> Result<(Session, Vec<u8>), String> {
    let mut connection = UnbufferedClientConnection::new(config, name).map_err(|e| e.to_string())?;
    let (mut incoming, mut outgoing, mut early) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        // TLS 1.3: what comes behind the last message of the handshake, which ends a record, is the session's. TLS 1.2 has nothing there.
        let done = !connection.is_handshaking() && connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let input = if done { Default::default() } else { incoming.as_mut_slice() };
        let UnbufferedStatus { discard, state } = connection.process_tls_records(input);
        let mut read = false;
        match state {
            Err(error) => {
                refuse(connection, outgoing, stream);
                return Err(error.to_string());
            }
            Ok(ConnectionState::EncodeTlsData(record)) => encode(record, &mut outgoing)?,
            Ok(ConnectionState::TransmitTlsData(transmit)) => {
                stream.write_all(&outgoing).map_err(|e| e.to_string())?;
                outgoing.clear();
                transmit.done();
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    early.extend_from_slice(record.map_err(|e| e.to_string())?.payload);
                }
            }
            Ok(ConnectionState::BlockedHandshake) => read = true,
            Ok(ConnectionState::WriteTraffic(_)) => {
                incoming.drain(..discard);
                break;
            }
            Ok(_) => return Err("the service ended TLS in its handshake".into()),
        }
        incoming.drain(..discard);
        if read {
            receive(stream, &mut incoming)?;
        }
    }
    let (agreed, secrets) = connection.dangerous_into_kernel_connection().map_err(|e| e.to_string())?;
    let session = Session::new(agreed, secrets, incoming).ok_or("the service chose a cipher that was not offered")?;
    Ok((session, early))
}

fn encode(mut record: EncodeTlsData<'_, ClientConnectionData>, outgoing: &mut Vec<u8>) -> Result<(), String> {
    let begin = outgoing.len();
    let length = match record.encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Err(error) => return Err(error.to_string()),
        Ok(length) => length,
    };
    outgoing.resize(begin + length, 0);
    record.encode(outgoing.get_mut(begin..).unwrap_or_default()).map(|_| ()).map_err(|e| e.to_string())
}

fn receive(stream: &mut impl Read, incoming: &mut Vec<u8>) -> Result<(), String> {
    let begin = incoming.len();
    if begin > MAX_WAITING {
        return Err("a message of the TLS handshake is too long".into());
    }
    incoming.resize(begin + ROOM, 0);
    let read = loop {
        match stream.read(incoming.get_mut(begin..).unwrap_or_default()) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    incoming.truncate(begin + *read.as_ref().unwrap_or(&0));
    match read {
        Ok(0) => Err("the service closed the connection in the TLS handshake".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells the peer what is wrong, if it can still be told. Nothing more is read for that.
fn refuse(mut connection: UnbufferedClientConnection, mut outgoing: Vec<u8>, stream: &mut impl Write) {
    while connection.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(record)) = connection.process_tls_records(&mut []).state else { break };
        if encode(record, &mut outgoing).is_err() {
            break;
        }
    }
    // It may be gone.
    let _ = stream.write_all(&outgoing);
}
