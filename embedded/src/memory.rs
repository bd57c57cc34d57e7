//! All memory of a board's sessions, in one value for one named static.

use core::array;

use crate::crowd::Crowd;

/// Two byte buffers, one for each direction.
pub type Buffers<'d> = (&'d mut [u8], &'d mut [u8]);

/// Memory for a server of `SESSIONS` sessions with queues of `QUEUE` bytes each way, on `SOCKETS` sockets
/// with `SOCKET` bytes each way.
///
/// A message must fit `QUEUE` with its framing. `SOCKET` bounds what is under way without an
/// acknowledgement, and so the speed. Sockets beyond `SESSIONS` are where clients wait.
///
/// Meant for a static: `static MEMORY: ConstStaticCell<Memory<4, 6, 1024, 512>>`.
pub struct Memory<const SESSIONS: usize, const SOCKETS: usize, const QUEUE: usize, const SOCKET: usize> {
    queues: [[[u8; QUEUE]; 2]; SESSIONS],
    sockets: [[[u8; SOCKET]; 2]; SOCKETS],
    crowd: Crowd,
}

impl<const SESSIONS: usize, const SOCKETS: usize, const QUEUE: usize, const SOCKET: usize>
    Memory<SESSIONS, SOCKETS, QUEUE, SOCKET>
{
    /// Bytes of all of it.
    pub const TOTAL: usize = {
        assert!(SOCKETS > SESSIONS, "without a spare socket a client too many would be reset");
        size_of::<Self>()
    };

    /// All zero.
    pub const fn new() -> Self {
        Self {
            queues: [[[0; QUEUE]; 2]; SESSIONS],
            sockets: [[[0; SOCKET]; 2]; SOCKETS],
            crowd: Crowd::new(),
        }
    }

    /// The sockets' buffers for [`Acceptor::new`](crate::Acceptor::new), and the queues of each session for
    /// [`serve`](crate::serve).
    pub fn split(&mut self) -> (SocketMemory<'_, SOCKETS>, [Buffers<'_>; SESSIONS]) {
        const { assert!(Self::TOTAL > 0) };
        let sockets = SocketMemory { sockets: pairs(&mut self.sockets), crowd: &self.crowd };
        (sockets, pairs(&mut self.queues))
    }
}

impl<const SESSIONS: usize, const SOCKETS: usize, const QUEUE: usize, const SOCKET: usize> Default
    for Memory<SESSIONS, SOCKETS, QUEUE, SOCKET>
{
    fn default() -> Self {
        Self::new()
    }
}

/// The acceptor's part of a [`Memory`].
pub struct SocketMemory<'d, const SOCKETS: usize> {
    pub(crate) sockets: [Buffers<'d>; SOCKETS],
    pub(crate) crowd: &'d Crowd,
}

/// Memory of one client: queues of `QUEUE` bytes each way, a socket with `SOCKET` bytes each way.
pub struct ClientMemory<const QUEUE: usize, const SOCKET: usize> {
    queues: [[u8; QUEUE]; 2],
    socket: [[u8; SOCKET]; 2],
}

impl<const QUEUE: usize, const SOCKET: usize> ClientMemory<QUEUE, SOCKET> {
    /// Bytes of all of it.
    pub const TOTAL: usize = size_of::<Self>();

    /// All zero.
    pub const fn new() -> Self {
        Self { queues: [[0; QUEUE]; 2], socket: [[0; SOCKET]; 2] }
    }

    /// Queues and socket buffers.
    pub(crate) fn split(&mut self) -> (Buffers<'_>, Buffers<'_>) {
        let ([rx, tx], [socket_rx, socket_tx]) = (&mut self.queues, &mut self.socket);
        ((rx, tx), (socket_rx, socket_tx))
    }
}

impl<const QUEUE: usize, const SOCKET: usize> Default for ClientMemory<QUEUE, SOCKET> {
    fn default() -> Self {
        Self::new()
    }
}

fn pairs<const N: usize, const BYTES: usize>(all: &mut [[[u8; BYTES]; 2]; N]) -> [Buffers<'_>; N] {
    let mut all = all.iter_mut();
    array::from_fn(|_| match all.next() {
        Some([rx, tx]) => (&mut rx[..], &mut tx[..]),
        None => unreachable!("there are as many as asked for"),
    })
}
