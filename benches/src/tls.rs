//! Messages over TLS 1.3: large ones both ways, handshakes, small ones echoed, sessions that wait.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use rustls::{ClientConfig, HandshakeKind};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::answer::Answer;
use crate::cases::{Row, table_of};
use crate::dial::dial;
use crate::figures::{self, Figure};
use crate::idle::{Idle, bytes_per_connection};
use crate::load::{Exchange, Load, Run};
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, progress};
use crate::rounds::{Effort, Rounds, Sample};
use crate::secure::{self, Exchange as Keys, Stream};
use crate::servers::tls::{ASKING, LARGE, LARGE_PATH, Peer};
use crate::servers::{Contender, http};
use crate::tcp::frame;

/// Connections that carry large messages.
const BULK_CONNECTIONS: usize = 4;
/// Large messages in flight on each.
const BULK_IN_FLIGHT: usize = 8;
/// Large messages to the server before it is asked for an answer, which is what is counted.
const UNANSWERED: usize = 8;
/// Connections that carry small messages.
const ECHO_CONNECTIONS: usize = 50;
/// Bytes of a small message.
const SMALL: usize = 64;
/// Handshakes under way at a time.
const SHAKING: usize = 8;

/// What the columns mean.
const LEGEND: &str = "\
received: eight messages of 64 KiB by the server and a small one that it echoes; sent: one of 64 KiB. full, resumed: connections that shake hands, have one message answered
and close, keys by X25519 or by X25519MLKEM768. CPU: time of the server process per message or connection; ratio, rate
ratio: by those of tokio-rustls in the same round. ±: half of the range over the rounds. busy: the part of the time the
server, the load was on its core. disturbed: the part of the time others took from the two: believe CPU, not rates.";

/// Which servers, and how much.
#[derive(Args, Debug)]
pub struct Options {
    /// Compare only these servers, always beside `tokio-rustls`; may be repeated.
    #[arg(long, value_enum, value_name = "PEER")]
    only: Vec<Peer>,
    /// Only these rows; may be repeated. All if none is named.
    #[arg(long, value_enum, value_name = "ROW")]
    row: Vec<Case>,
    #[command(flatten)]
    effort: Effort,
    /// Idle connections whose memory is measured: 5,000, or 1,000 if quick; 0 for none.
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    #[command(flatten)]
    output: Output,
}

/// What is measured.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// Large messages to the server.
    Received,
    /// Large messages from it.
    Sent,
    /// New sessions, X25519.
    Full,
    /// New sessions, X25519MLKEM768.
    FullHybrid,
    /// Sessions that go on, X25519.
    Resumed,
    /// Sessions that go on, X25519MLKEM768.
    ResumedHybrid,
    /// Small messages, one at a time.
    Echo,
    /// Small messages, sixteen at a time.
    EchoOf16,
}

/// How a case is carried.
enum Carrier {
    Connections { count: usize, in_flight: usize },
    Handshakes { keys: Keys, resumes: bool },
}

impl Case {
    fn name(self) -> String {
        match self {
            Self::Echo | Self::EchoOf16 => format!("{SMALL}x{}", self.in_flight()),
            _ => self.to_value().replace('-', " "),
        }
    }

    fn to_value(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn carrier(self) -> Carrier {
        let in_flight = self.in_flight();
        match self {
            Self::Received | Self::Sent => Carrier::Connections { count: BULK_CONNECTIONS, in_flight },
            Self::Echo | Self::EchoOf16 => Carrier::Connections { count: ECHO_CONNECTIONS, in_flight },
            Self::Full => Carrier::Handshakes { keys: Keys::Classic, resumes: false },
            Self::FullHybrid => Carrier::Handshakes { keys: Keys::Hybrid, resumes: false },
            Self::Resumed => Carrier::Handshakes { keys: Keys::Classic, resumes: true },
            Self::ResumedHybrid => Carrier::Handshakes { keys: Keys::Hybrid, resumes: true },
        }
    }

    /// Bytes of payload per answer that is counted.
    fn size(self) -> usize {
        match self {
            Self::Received => UNANSWERED * LARGE,
            Self::Sent => LARGE,
            _ => SMALL,
        }
    }

    fn in_flight(self) -> usize {
        match self {
            Self::Sent => BULK_IN_FLIGHT,
            Self::EchoOf16 => 16,
            _ => 1,
        }
    }

    /// `row` in the unit that is usual for it, if there is one.
    fn figure(self, row: &Row) -> Option<Figure> {
        match self.carrier() {
            _ if self.is_bulk() => Some(Figure::cpu_per_gib(row)),
            Carrier::Handshakes { .. } => Some(Figure::per_cpu_second(row, "handshakes/CPU s")),
            Carrier::Connections { .. } => None,
        }
    }

    fn is_bulk(self) -> bool {
        matches!(self, Self::Received | Self::Sent)
    }

    /// What `peer` is told in this case, if it understands that.
    fn request(self, peer: Peer) -> Option<Vec<u8>> {
        match (peer, self) {
            (Peer::Nginx, Self::Received | Self::Echo | Self::EchoOf16) => None,
            // OpenSSL before 3.5 would agree on X25519.
            (Peer::Nginx, Self::FullHybrid | Self::ResumedHybrid) => None,
            (Peer::Nginx, Self::Sent) => Some(get(LARGE_PATH)),
            (_, Self::Received) => Some([frame(LARGE).repeat(UNANSWERED), frame(SMALL)].concat()),
            (_, Self::Sent) => Some(frame(ASKING)),
            _ => Some(short(peer)),
        }
    }
}

/// What has a short answer.
fn short(peer: Peer) -> Vec<u8> {
    match peer {
        Peer::Nginx => get("/plaintext"),
        _ => frame(SMALL),
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", crate::servers::tls::NAME).into_bytes()
}

#[derive(Debug, Default, Serialize)]
struct Report {
    rows: Vec<Row>,
    /// CPU seconds of the server per GiB, or handshakes in one.
    figures: Vec<Figure>,
    #[serde(flatten)]
    idle: Idle,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let peers = self.peers();
        let cases = self.cases();
        let idle = self.idle.unwrap_or(if self.effort.quick { 1_000 } else { 5_000 });
        let bar = progress(peers.len() * (cases.len() * self.effort.rounds() + usize::from(idle > 0)));

        let start = |&peer: &Peer| ServerProcess::start(machine, peer);
        let servers = peers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
        let servers = peers.iter().copied().zip(&servers).collect::<Vec<_>>();
        let mut report = Report::default();
        for case in cases {
            bar.set_message(case.name());
            let rows = rows(case, &servers, self.effort, &bar)?;
            report.figures.extend(rows.iter().filter_map(|row| case.figure(row)));
            report.rows.extend(rows);
        }
        drop(servers);

        let config = secure::config(Keys::Hybrid, false)?;
        report.idle = Idle::measure(machine, peers, idle, &bar, |peer, connections| {
            let request = short(peer);
            bytes_per_connection(machine, peer, connections, |socket| {
                ask(socket, &config, &request).map(drop)
            })
        })?;
        bar.finish_and_clear();
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Who is compared here; says who is not.
    fn peers(&self) -> Vec<Peer> {
        let mut peers = Peer::chosen(&self.only);
        peers.retain(|peer| {
            let installed = peer.is_installed();
            if !installed {
                eprintln!("note: {} is left out: it is not installed", peer.name());
            }
            installed
        });
        peers
    }

    fn cases(&self) -> Vec<Case> {
        use clap::ValueEnum;
        let wanted = |case: &Case| self.row.is_empty() || self.row.contains(case);
        Case::value_variants().iter().copied().filter(wanted).collect()
    }
}

/// The rows of a case: of all servers that understand it, in their order.
fn rows(
    case: Case,
    servers: &[(Peer, &ServerProcess)],
    effort: Effort,
    bar: &ProgressBar,
) -> io::Result<Vec<Row>> {
    let asked = servers.iter().filter_map(|&(peer, server)| Some((peer, server, case.request(peer)?)));
    let asked = asked.collect::<Vec<_>>();
    let rounds = match case.carrier() {
        Carrier::Connections { count, in_flight } => {
            let open = |(peer, server, request): &(Peer, &ServerProcess, Vec<u8>)| {
                load(*peer, server.address(), request, count, in_flight)
            };
            let mut loads = asked.iter().map(open).collect::<io::Result<Vec<_>>>()?;
            Rounds::alternate(asked.len(), effort.rounds(), bar, |contender| {
                Sample::take(asked[contender].1, &mut loads[contender], effort.turn())
            })?
        }
        Carrier::Handshakes { keys, resumes } => {
            let prepare = |(peer, server, request): &(Peer, &ServerProcess, Vec<u8>)| {
                Handshakes::prepare(*peer, server.address(), request, keys, resumes)
            };
            let mut loads = asked.iter().map(prepare).collect::<io::Result<Vec<_>>>()?;
            Rounds::alternate(asked.len(), effort.rounds(), bar, |contender| {
                let load = &mut loads[contender];
                Sample::of(asked[contender].1, effort.turn(), |turn| load.run(turn))
            })?
        }
    };
    let reference = asked.iter().position(|&(peer, ..)| peer == Peer::REFERENCE).unwrap_or_default();
    let row = |(place, (peer, ..)): (usize, &(Peer, &ServerProcess, Vec<u8>))| {
        let summary = rounds.summary(place, reference);
        Row::new(peer.name(), case.size(), case.in_flight(), summary).called(&case.name())
    };
    Ok(asked.iter().enumerate().map(row).collect())
}

/// Connections of a case. The answer is learned first, and every connection asks at once.
fn load(
    peer: Peer,
    address: SocketAddr,
    request: &[u8],
    count: usize,
    in_flight: usize,
) -> io::Result<Load<Stream>> {
    let config = secure::config(Keys::Hybrid, false)?;
    let answer = learn(peer, address, &config, request)?;
    let exchange = Exchange::new(request, answer, in_flight);
    let mut load = Load::open(exchange, count, || Stream::connect(address, &config))?;
    load.run(Duration::ZERO)?;
    Ok(load)
}

/// What `peer` must answer.
fn learn(peer: Peer, address: SocketAddr, config: &Arc<ClientConfig>, request: &[u8]) -> io::Result<Answer> {
    let mut socket = dial(address, 0)?;
    let mut tls = secure::shake_hands(&mut socket, config)?;
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    if peer == Peer::Nginx {
        stream.write_all(request)?;
        let body = match request.starts_with(b"GET /large") {
            true => crate::servers::tls::payload(LARGE),
            false => http::BODY.as_bytes().to_vec(),
        };
        return Answer::learn(&mut stream, &body);
    }
    Ok(Answer::constant(&match request.len() - 4 {
        ASKING => frame(LARGE),
        _ => frame(SMALL),
    }))
}

/// Shakes hands on `socket` and has one `request` answered. The connection stays open.
fn ask(socket: &mut Blocking, config: &Arc<ClientConfig>, request: &[u8]) -> io::Result<usize> {
    let mut tls = secure::shake_hands(socket, config)?;
    let mut stream = rustls::Stream::new(&mut tls, socket);
    stream.write_all(request)?;
    stream.read(&mut [0; 1024])
}

/// Connections that are opened, asked once, and closed, several at a time.
struct Handshakes {
    runtime: Runtime,
    address: SocketAddr,
    request: Vec<u8>,
    answer: Answer,
    expected: HandshakeKind,
    /// Each with a memory of its own: a ticket is good for one connection.
    connectors: Vec<TlsConnector>,
    /// Connections so far.
    opened: Cell<usize>,
}

impl Handshakes {
    fn prepare(
        peer: Peer,
        address: SocketAddr,
        request: &[u8],
        keys: Keys,
        resumes: bool,
    ) -> io::Result<Self> {
        let connectors = (0..SHAKING).map(|_| secure::config(keys, resumes).map(TlsConnector::from));
        let connectors = connectors.collect::<io::Result<Vec<_>>>()?;
        let this = Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_io().build()?,
            address,
            answer: learn(peer, address, connectors[0].config(), request)?,
            request: request.to_vec(),
            expected: if resumes { HandshakeKind::Resumed } else { HandshakeKind::Full },
            connectors,
            opened: Cell::new(0),
        };
        // The first of each cannot resume any.
        let first = this.connectors.iter().map(|connector| this.connect(connector));
        this.runtime.block_on(try_join_all(first))?;
        Ok(this)
    }

    fn run(&mut self, duration: Duration) -> io::Result<Run> {
        let start = Instant::now();
        let shake = async |connector| {
            let mut done = 0;
            while start.elapsed() < duration {
                match self.connect(connector).await? {
                    kind if kind == self.expected => done += 1,
                    kind => return Err(io::Error::other(format!("{kind:?} instead of {:?}", self.expected))),
                }
            }
            Ok::<u64, io::Error>(done)
        };
        let done = self.runtime.block_on(try_join_all(self.connectors.iter().map(shake)))?;
        Ok(Run { answers: done.iter().sum(), elapsed: start.elapsed() })
    }

    async fn connect(&self, connector: &TlsConnector) -> io::Result<HandshakeKind> {
        let index = self.opened.replace(self.opened.get() + 1);
        let socket = dial(self.address, index)?;
        socket.set_nonblocking(true)?;
        let mut stream = connector.connect(secure::name(), TcpStream::from_std(socket)?).await?;
        stream.write_all(&self.request).await?;
        let mut answer = [0; 1024];
        let answer = &mut answer[..self.answer.bytes().len()];
        stream.read_exact(answer).await?;
        if !self.answer.matches(0, answer) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer differs"));
        }
        let kind = stream.get_ref().1.handshake_kind();
        stream.shutdown().await?;
        // Until the server has closed too, so that its work is done within the turn; in order or not.
        let _ = stream.read(&mut [0]).await;
        kind.ok_or_else(|| io::Error::other("no handshake"))
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            writeln!(f, "{}\n{LEGEND}", table_of(&self.rows, "messages/s"))?;
        }
        if !self.figures.is_empty() {
            writeln!(f, "{}", figures::table_of(&self.figures))?;
        }
        if !self.idle.is_empty() {
            write!(f, "{}", self.idle.table_by::<Peer>("session"))?;
        }
        Ok(())
    }
}
