//! What the client does in each case, for a time or a number of times.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use quinn::{Connection, VarInt};

use super::Case;
use super::client::{Client, Trust, in_time};
use crate::load::Run;
use crate::servers::quic::{ASKING, DATAGRAMS, PIECE, PROTOCOL};
use crate::servers::tls;
use crate::tcp::frame;

/// Bytes of a small message, with its length.
pub(super) const SMALL: usize = 64;
/// Mebibytes of a large stream.
const LARGE: u64 = 64;

/// A case that is ready to run against one server. Nothing is under way between two runs.
pub(super) struct Load<'a> {
    client: &'a Client,
    case: Case,
    address: SocketAddr,
    /// One for each connection: a ticket is good for one more.
    trust: Vec<Trust>,
    /// Open ones; none where they come and go.
    connections: Vec<Connection>,
}

/// When a run ends.
struct Until {
    time: Option<Instant>,
    /// So often still.
    times: Cell<usize>,
}

impl Until {
    /// Whether once more is wanted.
    fn goes_on(&self) -> bool {
        let times = self.times.get();
        let wanted = times > 0 && self.time.is_none_or(|time| Instant::now() < time);
        self.times.set(times - usize::from(wanted));
        wanted
    }
}

impl<'a> Load<'a> {
    /// Connects, and has everything answered once.
    pub(super) fn prepare(client: &'a Client, case: Case, address: SocketAddr) -> io::Result<Self> {
        let (count, _) = case.shape();
        let protocol = if case == Case::Datagrams { DATAGRAMS } else { PROTOCOL };
        let comes_and_goes = matches!(case, Case::Full | Case::Resumed);
        let trust = || Trust::new(protocol, case == Case::Resumed);
        let trust = match comes_and_goes {
            true => (0..count).map(|_| trust()).collect::<io::Result<Vec<_>>>()?,
            false => vec![trust()?],
        };
        let connections = match comes_and_goes {
            true => Vec::new(),
            false => client.connect_many(address, &trust[0], count)?,
        };
        let this = Self { client, case, address, trust, connections };
        // The first of each cannot resume any.
        for trust in this.trust.iter().take(if comes_and_goes { count } else { 0 }) {
            client.run(this.come_and_go(trust))?;
        }
        this.ask(1)?;
        Ok(this)
    }

    /// For `duration`, and until all that was begun is done.
    pub(super) fn run(&self, duration: Duration) -> io::Result<Run> {
        let (time, times) = (Some(Instant::now() + duration), Cell::new(usize::MAX));
        self.until(&Until { time, times })
    }

    /// So many times, or a little more; says how many times.
    pub(super) fn ask(&self, times: usize) -> io::Result<usize> {
        let (_, in_flight) = self.case.shape();
        let times = times.max(self.connections.len() * in_flight);
        let run = self.until(&Until { time: None, times: Cell::new(times) })?;
        usize::try_from(run.answers).map_err(io::Error::other)
    }

    fn until(&self, until: &Until) -> io::Result<Run> {
        let (_, in_flight) = self.case.shape();
        let seen = self.certificates_seen();
        let run = self.client.run(async {
            let done = match self.case {
                Case::Datagrams => {
                    try_join_all(self.connections.iter().map(|it| volley(it, in_flight, until))).await
                }
                Case::Full | Case::Resumed => {
                    let each = self.trust.iter().map(|trust| repeat(until, || self.come_and_go(trust)));
                    try_join_all(each).await
                }
                Case::Sent => {
                    try_join_all(self.connections.iter().map(|it| repeat(until, || fetch(it)))).await
                }
                Case::Received => {
                    let piece = piece();
                    let each = self.connections.iter().map(|it| repeat(until, || bring(it, &piece)));
                    try_join_all(each).await
                }
                Case::One | Case::Fifty | Case::Many => {
                    let each = self.connections.iter().flat_map(|it| std::iter::repeat_n(it, in_flight));
                    try_join_all(each.map(|it| repeat(until, || ask(it)))).await
                }
            };
            Ok(done?.iter().sum())
        })?;
        let full = (self.certificates_seen() - seen) as u64;
        match self.case {
            Case::Resumed if full > 0 => {
                Err(io::Error::other(format!("{full} of {} sessions were not resumed", run.answers)))
            }
            _ => Ok(run),
        }
    }

    /// Mean bytes of the datagrams that have carried a large stream: servers whose packets are smaller have more work.
    pub(super) fn datagram(&self) -> f64 {
        let stats = self.connections.iter().map(|connection| match self.case {
            Case::Sent => connection.stats().udp_rx,
            _ => connection.stats().udp_tx,
        });
        let (bytes, datagrams) = stats.fold((0, 0), |sum, udp| (sum.0 + udp.bytes, sum.1 + udp.datagrams));
        bytes as f64 / datagrams as f64
    }

    fn certificates_seen(&self) -> usize {
        self.trust.iter().map(Trust::certificates_seen).sum()
    }

    async fn come_and_go(&self, trust: &Trust) -> io::Result<u64> {
        let connection = self.client.connect(self.address, trust).await?;
        ask(&connection).await?;
        connection.close(VarInt::from_u32(0), b"");
        Ok(1)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        for connection in &self.connections {
            connection.close(VarInt::from_u32(0), b"");
        }
    }
}

async fn repeat<F: Future<Output = io::Result<u64>>>(until: &Until, once: impl Fn() -> F) -> io::Result<u64> {
    let mut done = 0;
    while until.goes_on() {
        done += once().await?;
    }
    Ok(done)
}

/// A small stream; it comes back.
pub(super) async fn ask(connection: &Connection) -> io::Result<u64> {
    let request = small();
    let answer = in_time(async {
        let (mut send, mut receive) = connection.open_bi().await?;
        send.write_all(&request).await?;
        send.finish().map_err(io::Error::other)?;
        receive.read_to_end(SMALL).await.map_err(io::Error::other)
    });
    match answer.await?? == request {
        true => Ok(1),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer differs")),
    }
}

/// A large stream from the server; the mebibytes that it had.
async fn fetch(connection: &Connection) -> io::Result<u64> {
    let (mut send, mut receive) = connection.open_bi().await?;
    let bytes = LARGE << 20;
    let request = [&(ASKING as u32).to_be_bytes()[..], &bytes.to_be_bytes()].concat();
    send.write_all(&request).await?;
    send.finish().map_err(io::Error::other)?;
    let mut came = 0;
    while let Some(chunk) = in_time(receive.read_chunk(usize::MAX, true)).await?? {
        came += chunk.bytes.len() as u64;
    }
    match came == bytes {
        true => Ok(LARGE),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{came} bytes instead of {bytes}"))),
    }
}

/// A large stream to the server, which has read it when it ends its own; the mebibytes that it had.
async fn bring(connection: &Connection, piece: &Bytes) -> io::Result<u64> {
    let (mut send, mut receive) = connection.open_bi().await?;
    for _ in 0..(LARGE << 20) / PIECE as u64 {
        in_time(send.write_chunk(piece.clone())).await??;
    }
    send.finish().map_err(io::Error::other)?;
    in_time(receive.read_to_end(0)).await?.map_err(io::Error::other)?;
    Ok(LARGE)
}

/// Datagrams, always as many in flight; they come back in order, or are lost, which does not happen here.
async fn volley(connection: &Connection, in_flight: usize, until: &Until) -> io::Result<u64> {
    let datagram = Bytes::from(small());
    let send = || connection.send_datagram(datagram.clone()).map_err(io::Error::other);
    let (mut sent, mut came) = (0, 0);
    while sent < in_flight as u64 && until.goes_on() {
        send()?;
        sent += 1;
    }
    while came < sent {
        if in_time(connection.read_datagram()).await?? != datagram {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a datagram differs"));
        }
        came += 1;
        if until.goes_on() {
            send()?;
            sent += 1;
        }
    }
    Ok(came)
}

/// A large message behind its length.
fn piece() -> Bytes {
    let message = tls::payload(PIECE - 4);
    [&(message.len() as u32).to_be_bytes()[..], &message].concat().into()
}

fn small() -> Vec<u8> {
    frame(SMALL - 4)
}
