//! A message that says whose it is.
//!
//! ```text
//! | length 4 | connection 4 | number 8 | the same bytes in every message |
//!            |<------------------------ size ------------------------->|
//! ```
//!
//! A message shorter than 12 bytes has the last part only.

/// Bytes of the length, by [`Framing`](netloom::Framing).
const HEADER: usize = 4;
/// Bytes of the connection's number and the message's.
const NAME: usize = 12;

/// The messages of one connection, one after the other in the same place.
#[derive(Debug)]
pub(super) struct Message {
    frame: Box<[u8]>,
    connection: u32,
    /// Where the part begins that is the same in every message.
    body: usize,
}

impl Message {
    /// Messages of `size` bytes, which fits 4 bytes: [`units::bytes`](crate::units::bytes) takes no more.
    pub(super) fn new(connection: usize, size: usize) -> Self {
        // A pattern whose period is no power of two: shifted answers differ.
        let mut frame: Box<[u8]> = (0..HEADER + size).map(|at| (at % 251) as u8).collect();
        frame[..HEADER].copy_from_slice(&(size as u32).to_be_bytes());
        let body = HEADER + if size < NAME { 0 } else { NAME };
        Self { frame, connection: connection as u32, body }
    }

    /// Makes it the message with that number.
    #[inline]
    pub(super) fn number(&mut self, number: u64) {
        if self.body > HEADER {
            let name = self.name(number);
            self.frame[HEADER..self.body].copy_from_slice(&name);
        }
    }

    /// Its bytes on the wire.
    #[inline]
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Its bytes without the length.
    #[inline]
    pub(super) fn payload(&self) -> &[u8] {
        &self.frame[HEADER..]
    }

    /// Bytes without the length.
    pub(super) fn size(&self) -> usize {
        self.frame.len() - HEADER
    }

    /// The number in an answer.
    pub(super) fn number_of(answer: &[u8]) -> Option<u64> {
        answer.get(NAME - 8..NAME)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// Whether `answer` is what was sent with that number, byte for byte.
    #[inline]
    pub(super) fn is_answered(&self, number: u64, answer: &[u8]) -> bool {
        if self.body == HEADER {
            return *answer == self.frame[HEADER..];
        }
        match answer.split_first_chunk::<NAME>() {
            Some((name, body)) => *name == self.name(number) && *body == self.frame[self.body..],
            None => false,
        }
    }

    /// Whether `piece` is what was sent with that number from byte `at` on, byte for byte.
    #[inline]
    pub(super) fn is_part(&self, number: u64, at: usize, piece: &[u8]) -> bool {
        if at == 0 && piece.len() == self.size() {
            return self.is_answered(number, piece);
        }
        let named = self.body - HEADER;
        let name = self.name(number);
        let in_name = piece.len().min(named.saturating_sub(at));
        let (front, back) = piece.split_at(in_name);
        let body = self.payload().get(at + in_name..at + piece.len());
        (in_name == 0 || *front == name[at..at + in_name]) && body == Some(back)
    }

    #[inline]
    fn name(&self, number: u64) -> [u8; NAME] {
        let mut name = [0; NAME];
        name[..4].copy_from_slice(&self.connection.to_be_bytes());
        name[4..].copy_from_slice(&number.to_be_bytes());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_message_with_its_number_and_nothing_else() {
        for size in [0, 11, 12, 64, 1000] {
            let mut message = Message::new(7, size);
            message.number(3);
            let mut answer = message.frame()[HEADER..].to_vec();
            assert_eq!(answer.len(), size);
            message.number(9);
            assert!(message.is_answered(3, &answer), "{size}");
            assert_eq!(message.is_answered(4, &answer), size < NAME);
            assert_eq!(Message::new(8, size).is_answered(3, &answer), size < NAME);
            for at in 0..size {
                assert!(message.is_part(3, 0, &answer[..at]) && message.is_part(3, at, &answer[at..]));
                answer[at] ^= 0x20;
                assert!(!message.is_answered(3, &answer), "{size}, byte {at}");
                assert!(!message.is_part(3, at, &answer[at..]), "{size}, from byte {at}");
                assert!(!message.is_part(3, 0, &answer[..=at]), "{size}, to byte {at}");
                answer[at] ^= 0x20;
            }
            answer.push(0);
            assert!(!message.is_part(3, 0, &answer) && !message.is_part(3, size, &[0]));
            assert!(!message.is_answered(3, &answer));
        }
    }
}
