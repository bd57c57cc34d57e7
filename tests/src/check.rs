//! Checkers: that bytes are exact.

use crate::random::Random;

/// A seeded stream of messages. One side makes them, the other checks them with a stream of the same seed.
///
/// Messages are ASCII letters, so that they are lines as well as bytes.
///
/// ```
/// use netloom_lab::Messages;
///
/// let (mut sent, mut expected) = (Messages::new(3, 100), Messages::new(3, 100));
/// for _ in 0..10 {
///     let message = sent.make().to_vec();
///     expected.check(&message);
/// }
/// assert_eq!(expected.count(), 10);
/// ```
#[derive(Clone, Debug)]
pub struct Messages {
    random: Random,
    max: usize,
    message: Vec<u8>,
    count: u64,
}

impl Messages {
    /// Messages of 0 to `max` bytes.
    pub fn new(seed: u64, max: usize) -> Self {
        Self { random: Random::new(seed), max, message: Vec::new(), count: 0 }
    }

    /// The next message.
    pub fn make(&mut self) -> &[u8] {
        let len = self.random.below(self.max as u64 + 1) as usize;
        self.message.clear();
        while self.message.len() < len {
            let letters = self.random.next().to_le_bytes().map(|byte| b'a' + byte % 26);
            self.message.extend_from_slice(&letters[..letters.len().min(len - self.message.len())]);
        }
        self.count += 1;
        &self.message
    }

    /// Checks that `got` is the next message.
    ///
    /// # Panics
    /// With the number of the message and where it first differs.
    #[track_caller]
    pub fn check(&mut self, got: &[u8]) {
        self.make();
        if got != self.message {
            let at = got.iter().zip(&self.message).take_while(|(a, b)| a == b).count();
            panic!(
                "message {} differs at byte {at}: {} bytes came, {} were expected",
                self.count - 1,
                got.len(),
                self.message.len()
            );
        }
    }

    /// How many messages were made or checked.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// Whether `part` is the beginning of `whole`.
///
/// # Panics
/// If it is not; with where it first differs.
#[track_caller]
pub fn assert_prefix(part: &[u8], whole: &[u8]) {
    let same = part.iter().zip(whole).take_while(|(a, b)| a == b).count();
    assert_eq!(same, part.len(), "{} bytes of {} came, wrong from byte {same} on", part.len(), whole.len());
}
