//! Slow clients: each sends a byte of its request's head per second and never the end of it. What another client
//! notices of them, and whether they are ended.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::dial::dial;
use crate::http::ask;
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::report::{Output, count};
use crate::servers::Contender;
use crate::servers::http::{Peer, REQUEST};

/// How the request of a slow client begins; what follows is one field that has no end.
const BEGIN: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: slow\r\nX-Slow: ";
/// The time between two bytes of a slow client.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the normal client is measured at most before there are slow ones.
const BEFORE: Duration = Duration::from_secs(10);

/// Latencies above this are counted as this.
const LONGEST: Duration = Duration::from_secs(60);

/// How many slow clients, of which server.
#[derive(Args, Debug)]
pub struct Options {
    /// The server.
    #[arg(long, value_enum, value_name = "PEER", default_value_t = Peer::Hyper)]
    only: Peer,
    /// Slow clients.
    #[arg(long, value_name = "N", default_value_t = 100)]
    clients: usize,
    /// How long they stay.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Report {
    peer: String,
    clients: usize,
    seconds: u64,
    /// How many of them the server ended.
    ended: usize,
    /// How many of those it told that they were slow, by status 408.
    told: usize,
    /// When it ended the first, in seconds after their start.
    first_end: Option<f64>,
    /// 99 of 100 requests of the normal client took no longer, in microseconds.
    p99_before_us: f64,
    p99_during_us: f64,
    p99_ratio: f64,
}

impl Options {
    /// Measures and prints.
    pub fn run(self, machine: &Machine) -> io::Result<ExitCode> {
        let server = ServerProcess::start(machine, self.only)?;
        let during = Duration::from_secs(self.seconds);
        let mut normal = dial(server.address(), 0)?;
        // The first answers warm the server up.
        latencies(&mut normal, during.min(BEFORE) / 5, |_| ())?;
        let before = latencies(&mut normal, during.min(BEFORE), |_| ())?;
        let mut slow = (0..self.clients)
            .map(|index| SlowClient::begin(server.address(), index, self.clients))
            .collect::<io::Result<Vec<_>>>()?;
        let latencies = latencies(&mut normal, during, |elapsed| {
            slow.iter_mut().for_each(|client| client.live(elapsed));
        })?;

        let ends = slow.iter().filter_map(|client| client.end);
        let p99 = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.99) as f64 / 1e3;
        let report = Report {
            peer: self.only.name(),
            clients: self.clients,
            seconds: self.seconds,
            ended: ends.clone().count(),
            told: slow.iter().filter(|client| client.told).count(),
            first_end: ends.min().map(|end| end.as_secs_f64()),
            p99_before_us: p99(&before),
            p99_during_us: p99(&latencies),
            p99_ratio: p99(&latencies) / p99(&before),
        };
        self.output.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks for `duration`, one request at a time, and does `between` after each; returns nanoseconds per request.
fn latencies(
    stream: &mut TcpStream,
    duration: Duration,
    mut between: impl FnMut(Duration),
) -> io::Result<Histogram<u64>> {
    let mut histogram = Histogram::new_with_max(LONGEST.as_nanos() as u64, 3).map_err(io::Error::other)?;
    let answer = ask(stream)?;
    let mut buffer = vec![0; answer.bytes().len()];
    let start = Instant::now();
    while start.elapsed() < duration {
        let asked = Instant::now();
        stream.write_all(REQUEST)?;
        answer.hear(stream, &mut buffer)?;
        histogram.saturating_record(asked.elapsed().as_nanos() as u64);
        between(start.elapsed());
    }
    Ok(histogram)
}

struct SlowClient {
    stream: TcpStream,
    /// When its next byte is due.
    due: Duration,
    told: bool,
    end: Option<Duration>,
}

impl SlowClient {
    /// The clients' bytes are spread over the pause between two of one client.
    fn begin(address: SocketAddr, index: usize, clients: usize) -> io::Result<Self> {
        let mut stream = dial(address, index)?;
        stream.write_all(BEGIN)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, due: PAUSE.mul_f64(index as f64 / clients as f64), told: false, end: None })
    }

    /// Sends its byte if it is due, and looks whether it was ended.
    fn live(&mut self, now: Duration) {
        if self.end.is_some() || now < self.due {
            return;
        }
        self.due += PAUSE;
        let mut answer = [0; 1024];
        let open = match self.stream.read(&mut answer) {
            Ok(0) => false,
            Ok(n) => {
                self.told |= answer[..n].starts_with(b"HTTP/1.1 408");
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !open || self.stream.write(b"a").is_err() {
            self.end = Some(now);
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, clients, seconds, ended, told, p99_ratio, .. } = self;
        let [before, during] = [self.p99_before_us, self.p99_during_us].map(count);
        writeln!(
            f,
            "{peer}: p99 {before} us before, {during} us during {clients} slow clients: {p99_ratio:.2}"
        )?;
        write!(f, "{ended} of them ended within {seconds} s, {told} of those told so by 408")?;
        match self.first_end {
            Some(first) => write!(f, "; the first after {first:.1} s"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_slow_client_sees_that_it_is_told_and_then_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = SlowClient::begin(listener.local_addr().unwrap(), 0, 1).unwrap();
        let mut server = listener.accept().unwrap().0;
        client.live(Duration::ZERO);
        let mut head = [0; BEGIN.len() + 1];
        server.read_exact(&mut head).unwrap();
        assert_eq!((&head[..BEGIN.len()], head[BEGIN.len()], client.end), (BEGIN, b'a', None));

        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        drop(server);
        for second in 1..=3 {
            client.live(PAUSE * second);
        }
        assert!(client.told && client.end.is_some());
    }
}
