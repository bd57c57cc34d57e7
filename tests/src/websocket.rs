//! WebSocket (RFC 6455) by code that shares nothing with the library's, to judge it by: slow, plain, and unforgiving.
//!
//! [`Frame`] writes any frame, right or wrong. [`read`] tells what a stream of frames says, or with which close code it
//! has to be refused, and how far it came.

use crate::random::Random;

/// A frame as it is on the wire, whether it may be or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, three reserved bits, the opcode.
    pub first: u8,
    /// What it is masked with, if it is.
    pub key: Option<[u8; 4]>,
    /// The payload, in clear.
    pub payload: Vec<u8>,
}

/// What is said by one frame, or by the frames of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
    /// To be answered by a pong.
    Ping(Vec<u8>),
    /// Answers a ping, or none.
    Pong(Vec<u8>),
    /// The code and the reason.
    Close(Option<u16>, String),
}

/// How a stream of frames ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Between two messages, without a Close.
    Open,
    /// Within a message or a frame.
    Midway,
    /// With a Close.
    Closed,
    /// It has to be refused with this code.
    Refused(u16),
}

/// What a stream of frames says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Message by message.
    pub said: Vec<Said>,
    /// How it ends.
    pub end: End,
    /// Bytes of the frames that were read whole.
    pub size: usize,
}

impl Frame {
    /// A client's frame, in order.
    pub fn masked(random: &mut Random, opcode: u8, is_last: bool, payload: &[u8]) -> Self {
        let key = random.next().to_le_bytes();
        let key = [key[0], key[1], key[2], key[3]];
        Self { first: opcode | if is_last { 0x80 } else { 0 }, key: Some(key), payload: payload.to_vec() }
    }

    /// It on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header(self.payload.len() as u64);
        let key = self.key.unwrap_or_default();
        bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Its header, as of a payload of `len` bytes.
    pub fn header(&self, len: u64) -> Vec<u8> {
        let bit = if self.key.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match len {
            0..=125 => bytes.push(bit | len as u8),
            126..=0xffff => {
                bytes.push(bit | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            _ => {
                bytes.push(bit | 127);
                bytes.extend(len.to_be_bytes());
            }
        }
        bytes.extend(self.key.iter().flatten());
        bytes
    }
}

/// Whether a Close may carry it (RFC 6455, 7.4.1 and 7.4.2, and IANA's registry).
pub fn may_be_said(code: u16) -> bool {
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code)
        || (3000..5000).contains(&code)
}

/// What `bytes` say if they come from a client, or from a server, to one who takes messages of up to `max` bytes.
pub fn read(bytes: &[u8], of_client: bool, max: usize) -> Heard {
    let (mut said, mut at, mut message) = (Vec::new(), 0, None::<(u8, Vec<u8>)>);
    let end = loop {
        let rest = &bytes[at..];
        let [first, second, behind @ ..] = rest else {
            break if rest.is_empty() && message.is_none() { End::Open } else { End::Midway };
        };
        let (is_last, opcode, short) = (first & 0x80 != 0, first & 0x0f, second & 0x7f);
        let is_control = opcode >= 8;
        if first & 0x70 != 0
            || (second & 0x80 != 0) != of_client
            || ![0, 1, 2, 8, 9, 10].contains(&opcode)
            || (is_control && (!is_last || short > 125))
        {
            break End::Refused(1002);
        }
        let wide = [0, 2, 8][usize::from(short.max(125) - 125)];
        let Some(digits) = behind.get(..wide) else { break End::Midway };
        let len = match wide {
            0 => u64::from(short),
            _ => digits.iter().fold(0, |len, digit| len << 8 | u64::from(*digit)),
        };
        if (wide == 2 && len < 126) || (wide == 8 && !(65536..1 << 63).contains(&len)) {
            break End::Refused(1002);
        }
        let header = 2 + wide + if of_client { 4 } else { 0 };
        let (Some(key), Some(payload)) = (rest.get(2 + wide..header), rest.get(header..)) else {
            break End::Midway;
        };
        if !is_control && (opcode == 0) != message.is_some() {
            break End::Refused(1002);
        }
        let before = message.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
        if !is_control && before.saturating_add(len) > max as u64 {
            break End::Refused(1009);
        }
        let is_whole = payload.len() as u64 >= len;
        let payload = &payload[..payload.len().min(len as usize)];
        let payload = payload.iter().enumerate().map(|(i, byte)| byte ^ key.get(i % 4).unwrap_or(&0));
        let payload: Vec<u8> = payload.collect();
        if is_control && !is_whole {
            break End::Midway;
        }
        match opcode {
            9 => said.push(Said::Ping(payload)),
            10 => said.push(Said::Pong(payload)),
            8 => match close(&payload) {
                Ok(close) => {
                    said.push(close);
                    at += header + len as usize;
                    break End::Closed;
                }
                Err(code) => break End::Refused(code),
            },
            _ => {
                let (kind, whole) = message.get_or_insert((opcode, Vec::new()));
                whole.extend(payload);
                let is_over = is_whole && is_last;
                if let (1, Err(wrong)) = (*kind, std::str::from_utf8(whole))
                    && (is_over || wrong.error_len().is_some())
                {
                    break End::Refused(1007);
                }
                if !is_whole {
                    break End::Midway;
                }
                if is_over {
                    said.extend(message.take().map(|(kind, whole)| match kind {
                        1 => Said::Text(String::from_utf8(whole).expect("it was checked")),
                        _ => Said::Binary(whole),
                    }));
                }
            }
        }
        at += header + len as usize;
    };
    Heard { said, end, size: at }
}

fn close(payload: &[u8]) -> Result<Said, u16> {
    match payload {
        [] => Ok(Said::Close(None, String::new())),
        [_] => Err(1002),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let reason = std::str::from_utf8(reason);
            match (may_be_said(code), reason) {
                (false, _) => Err(1002),
                (true, Err(_)) => Err(1007),
                (true, Ok(reason)) => Ok(Said::Close(Some(code), reason.to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 6455, 5.7.
        let hello = Said::Text("Hello".to_owned());
        let heard = read(b"\x81\x05Hello", false, 5);
        assert_eq!((heard.said, heard.end, heard.size), (vec![hello.clone()], End::Open, 7));
        assert_eq!(
            read(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", true, 5).said,
            std::slice::from_ref(&hello)
        );
        let ping = Said::Ping(b"Hello".to_vec());
        assert_eq!(read(b"\x01\x03Hel\x89\x05Hello\x80\x02lo", false, 5).said, [ping, hello]);
        assert_eq!(read(b"\x81\x05Hello", false, 4).end, End::Refused(1009));
        assert_eq!(read(b"\x81\x05Hello", true, 5).end, End::Refused(1002));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut random = Random::new(1);
        for len in [0, 1, 125, 126, 65535, 65536] {
            let frame = Frame::masked(&mut random, 2, true, &vec![7; len]);
            let heard = read(&frame.bytes(), true, len);
            assert_eq!((heard.said, heard.end), (vec![Said::Binary(vec![7; len])], End::Open));
            assert_eq!(read(&frame.bytes()[..frame.bytes().len() - 1], true, len).end, End::Midway);
        }
    }
}
