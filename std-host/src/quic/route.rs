//! Workers share a port, and the kernel picks one by addresses: after a client has moved, the wrong one. The worker's number is
//! in our connection IDs, so the wrong one hands the packet over (RFC 9000, 5.2).

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use quinn_proto::{ConnectionId, ConnectionIdGenerator};
use rand::RngExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::datagrams::{Datagram, Datagrams, Outgoing};
use super::endpoint::Counts;

/// Bytes of our connection IDs: seven that are random, and one with the worker's number.
const LENGTH: usize = 8;

/// Pieces under way between two workers; more are lost, as on any link.
const QUEUE: usize = 256;

/// Connection IDs of one worker: its number, hidden by a keyed hash of the other, random bytes, so that nobody else learns which
/// connections have the same.
#[derive(Clone)]
pub(crate) struct WorkerIds {
    worker: u8,
    key: RandomState,
}

impl WorkerIds {
    fn mask(&self, random: &[u8]) -> u8 {
        self.key.hash_one(random) as u8
    }

    /// Whose packet that is. Only of those with short headers: before that the client chose the ID, and has not moved.
    fn owner(&self, packet: &[u8]) -> Option<u8> {
        let (first, rest) = packet.split_first()?;
        let (number, random) = rest.get(..LENGTH).filter(|_| first & 0x80 == 0)?.split_first()?;
        Some(number ^ self.mask(random))
    }
}

impl ConnectionIdGenerator for WorkerIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id: [u8; LENGTH] = rand::rng().random();
        id[0] = self.worker ^ self.mask(&id[1..]);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// A worker's socket, which hands other workers' packets over and takes its own from them.
pub(crate) struct Routed<D> {
    socket: D,
    route: Route,
}

/// What a worker needs for it, to be sent to its thread.
pub(crate) struct Route {
    ids: WorkerIds,
    others: Arc<[Sender<Datagram>]>,
    mine: Receiver<Datagram>,
    counts: Arc<Counts>,
}

/// One for each worker, at most 256; they count the datagrams that they hand over.
pub(crate) fn route(workers: usize, counts: &Arc<Counts>) -> Vec<Route> {
    let key = RandomState::new();
    let (others, mine): (Vec<_>, Vec<_>) = (0..workers.min(256)).map(|_| channel(QUEUE)).unzip();
    let others: Arc<[_]> = others.into();
    let route = |(mine, worker)| Route {
        ids: WorkerIds { worker, key: key.clone() },
        others: others.clone(),
        mine,
        counts: counts.clone(),
    };
    mine.into_iter().zip(0..=u8::MAX).map(route).collect()
}

impl Route {
    pub(crate) fn ids(&self) -> WorkerIds {
        self.ids.clone()
    }

    pub(crate) fn on<D>(self, socket: D) -> Routed<D> {
        Routed { socket, route: self }
    }

    /// The other worker whose packet that is.
    fn other(&self, packet: &[u8]) -> Option<&Sender<Datagram>> {
        let owner = self.ids.owner(packet).filter(|owner| *owner != self.ids.worker)?;
        self.others.get(usize::from(owner))
    }

    /// Gives the worker's own on to `sink`, and others' to them. A peer may have connections with several workers on one port, so
    /// each datagram is looked at.
    fn sort(&self, mut datagram: Datagram, sink: &mut dyn FnMut(Datagram)) {
        let mut all = datagram.bytes.chunks(datagram.stride);
        if all.all(|packet| self.other(packet).is_none()) {
            return sink(datagram);
        }
        while !datagram.bytes.is_empty() {
            let bytes = datagram.bytes.split_to(datagram.stride.min(datagram.bytes.len()));
            let one = Datagram { stride: bytes.len(), bytes, ..datagram };
            match self.other(&one.bytes) {
                None => sink(one),
                Some(owner) => {
                    if owner.try_send(one).is_ok() {
                        self.counts.handed_over.fetch_add(1, Relaxed);
                    }
                }
            }
        }
    }
}

impl<D: Datagrams> Datagrams for Routed<D> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Datagram)) -> Poll<io::Result<()>> {
        let Self { socket, route } = self;
        let mut some = false;
        while let Poll::Ready(Some(datagram)) = route.mine.poll_recv(cx) {
            sink(datagram);
            some = true;
        }
        match socket.poll_receive(cx, &mut |datagram| route.sort(datagram, sink)) {
            Poll::Pending if some => Poll::Ready(Ok(())),
            poll => poll,
        }
    }

    fn try_send(&mut self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        self.socket.try_send(outgoing)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_writable(cx)
    }

    fn batch(&self) -> usize {
        self.socket.batch()
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_finds_the_worker_that_made_its_connection_id() {
        let routes = route(3, &Arc::default());
        for maker in &routes {
            let id = maker.ids().generate_cid();
            let packet = [&[0x40][..], &id, &[0; 20]].concat();
            for reader in &routes {
                assert_eq!(reader.ids.owner(&packet), Some(maker.ids.worker));
                assert_eq!(reader.other(&packet).is_some(), reader.ids.worker != maker.ids.worker);
            }
        }
    }

    #[test]
    fn what_has_a_long_header_or_no_whole_id_stays() {
        let routes = route(2, &Arc::default());
        for packet in [&[][..], &[0x40], &[0x40, 1, 2, 3, 4, 5, 6, 7], &[0xc0; 40]] {
            assert_eq!(routes[0].ids.owner(packet), None, "{packet:?}");
        }
    }

    #[test]
    fn each_datagram_of_a_batch_is_looked_at() {
        let mut routes = route(2, &Arc::default());
        let packet = |n: usize| {
            let id = routes[n].ids().generate_cid();
            [&[0x40][..], &id, &[n as u8; 11]].concat()
        };
        let batch = [packet(0), packet(1), packet(0), packet(1)[..15].to_vec()].concat();
        let datagram = Datagram {
            from: ([127, 0, 0, 1], 1).into(),
            to: None,
            ecn: 2,
            bytes: batch.as_slice().into(),
            stride: 20,
        };
        let mut kept = Vec::new();
        routes[0].sort(datagram, &mut |datagram| kept.push(datagram.bytes.len()));
        assert_eq!(kept, [20, 20]);
        let other = &mut routes[1];
        let lengths: Vec<_> =
            std::iter::from_fn(|| other.mine.try_recv().ok()).map(|p| p.bytes.len()).collect();
        assert_eq!(lengths, [20, 15]);
        assert_eq!(other.counts.handed_over.load(Relaxed), 2);
    }
}
