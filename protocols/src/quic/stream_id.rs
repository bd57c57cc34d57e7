//! Stream IDs (RFC 9000, 2.1), and what is told apart by side and direction.

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who sent the first packet.
    Client,
    /// Who answered it.
    Server,
}

impl Side {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Which way data goes on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    Bidirectional,
    /// From who opened it only.
    Unidirectional,
}

/// A stream's number: who opened it and its direction in the last two bits, above them how many were before it.
///
/// ```
/// use netloom_protocols::quic::{Direction, Side, StreamId};
///
/// let id = StreamId(7);
/// assert_eq!((id.initiator(), id.direction(), id.index()), (Side::Server, Direction::Unidirectional, 1));
/// assert_eq!(StreamId::new(Side::Server, Direction::Unidirectional, 1), id);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl StreamId {
    /// Most streams of a kind (RFC 9000, 4.6): 2^60.
    pub const COUNT_MAX: u64 = 1 << 60;

    /// The stream of that kind before which there were `index` others; below [`COUNT_MAX`](Self::COUNT_MAX).
    pub const fn new(initiator: Side, direction: Direction, index: u64) -> Self {
        Self(index << 2 | (direction as u64) << 1 | initiator as u64)
    }

    /// Who opened it.
    pub const fn initiator(self) -> Side {
        if self.0 & 1 == 0 { Side::Client } else { Side::Server }
    }

    /// Which way data goes.
    pub const fn direction(self) -> Direction {
        if self.0 & 2 == 0 { Direction::Bidirectional } else { Direction::Unidirectional }
    }

    /// How many streams of its kind were opened before it.
    pub const fn index(self) -> u64 {
        self.0 >> 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_who_opened_the_stream_and_which_way_it_goes() {
        let kinds = [
            (Side::Client, Direction::Bidirectional),
            (Side::Server, Direction::Bidirectional),
            (Side::Client, Direction::Unidirectional),
            (Side::Server, Direction::Unidirectional),
        ];
        for (number, (side, direction)) in (0..).zip(kinds) {
            for index in [0, 1, StreamId::COUNT_MAX - 1] {
                let id = StreamId::new(side, direction, index);
                assert_eq!(id.0, index * 4 + number);
                assert_eq!((id.initiator(), id.direction(), id.index()), (side, direction, index));
            }
        }
        assert_eq!(Side::Client.peer().peer(), Side::Client);
    }
}
