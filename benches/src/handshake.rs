//! The client's side of a WebSocket: the handshake and frames, written once and repeated.

use std::io::{self, Read, Write};

use memchr::memmem;

/// What a client masks with; the servers do not know that it is always the same.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The longest answer to a handshake, in bytes.
const LONGEST: usize = 8 * 1024;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Masked.
    Client,
    /// Not masked.
    Server,
}

/// Compression on which a connection holds nothing from message to message: so all echoes of one message are the same.
pub const DEFLATE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Makes a WebSocket of `stream`. Fails if it is refused, or if the server speaks first.
pub fn shake_hands(stream: &mut (impl Read + Write), path: &str) -> io::Result<()> {
    ask(stream, path, "").map(drop)
}

/// Makes a WebSocket of `stream`, on which messages are compressed. Fails also if the server does not agree to that.
pub fn shake_hands_on_deflate(stream: &mut (impl Read + Write), path: &str) -> io::Result<()> {
    let answer = ask(stream, path, &format!("Sec-WebSocket-Extensions: {DEFLATE}\r\n"))?.to_ascii_lowercase();
    let field =
        answer.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions:")).unwrap_or_default();
    let agreed = |parameter| field.split(';').any(|part| part.trim() == parameter);
    match DEFLATE.split("; ").all(agreed) {
        true => Ok(()),
        false => Err(io::Error::other(format!("not compressed as asked: {answer}"))),
    }
}

/// The answer to a handshake with these further `fields`.
fn ask(stream: &mut (impl Read + Write), path: &str, fields: &str) -> io::Result<String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let end = loop {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => answer.extend_from_slice(&bytes[..n]),
        }
        if let Some(end) = memmem::find(&answer, b"\r\n\r\n") {
            break end + 4;
        }
        if answer.len() > LONGEST {
            return Err(io::Error::other("the answer to the handshake has no end"));
        }
    };
    let is_whole = answer.len() == end;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match answer.starts_with("HTTP/1.1 101 ") && is_whole {
        true => Ok(answer),
        false => Err(io::Error::other(format!("refused: {answer}"))),
    }
}

/// A binary message of `size` bytes in one frame.
pub fn message(size: usize, from: From) -> Vec<u8> {
    let payload: Vec<_> = payload(size).collect();
    frame(0x82, &payload, from)
}

/// A frame that begins with the byte `first`.
pub fn frame(first: u8, payload: &[u8], from: From) -> Vec<u8> {
    let mask = if from == From::Client { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        size @ 0..126 => frame.push(mask | size as u8),
        size @ 126..0x1_0000 => {
            frame.push(mask | 126);
            frame.extend_from_slice(&(size as u16).to_be_bytes());
        }
        size => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    match from {
        From::Server => frame.extend_from_slice(payload),
        From::Client => {
            frame.extend_from_slice(&KEY);
            frame.extend(payload.iter().zip(KEY.into_iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
    frame
}

/// Bytes that do not repeat within a thousand: an echo that slipped would differ.
fn payload(size: usize) -> impl Iterator<Item = u8> {
    (0..size as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_rfc_6455_section_5_2_says() {
        for (size, head) in [
            (125, &[0x82, 125][..]),
            (126, &[0x82, 126, 0, 126]),
            (65535, &[0x82, 126, 0xff, 0xff]),
            (65536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = message(size, From::Server);
            assert!(frame.starts_with(head) && frame.len() == head.len() + size, "{size}");
            assert_eq!(message(size, From::Client).len(), frame.len() + KEY.len());
        }
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        let (plain, masked) = (message(9, From::Server), message(9, From::Client));
        assert_eq!(masked[..6], [0x82, 0x89, 0x37, 0xfa, 0x21, 0x3d]);
        let unmasked = masked[6..].iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]);
        assert!(unmasked.eq(plain[2..].iter().copied()));
    }
}
