//! The load: many connections, each with a number of requests in flight, every answer compared.
//!
//! It is the same for all servers and must cost less than any of them: one thread, no allocation while it runs, a
//! read and a write for however many messages are there. All requests are equal and so are all answers, so both
//! streams repeat: a buffer of many requests is written from wherever the last write stopped, and what arrives is
//! compared with a buffer of many answers, whatever the pieces it arrives in. Where an answer has a part that varies,
//! the buffer follows it; so a Date costs a second comparison once a second.
//!
//! It never waits for one direction alone, so it cannot block a server that writes while it reads.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::answer::Answer;

/// What one read takes at most.
const READ: usize = 128 * 1024;
/// How long nothing may arrive while answers are due.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a connection for a [`Load`] over plain TCP, without delay.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = Blocking::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// What is said and what must be answered, and how often it may be said before it is answered.
#[derive(Debug)]
pub struct Exchange {
    request: usize,
    answer: Answer,
    in_flight: usize,
    requests: Vec<u8>,
    answers: Vec<u8>,
}

impl Exchange {
    /// `in_flight` times `request`, which is not empty, each to be answered by `answer`.
    pub fn new(request: &[u8], answer: Answer, in_flight: usize) -> Self {
        assert!(!request.is_empty() && in_flight > 0);
        Self {
            request: request.len(),
            in_flight,
            // From any place in a request, as many bytes as can be owed.
            requests: request.repeat(in_flight + 1),
            // From any place in an answer, as many bytes as one read brings.
            answers: answer.bytes().repeat(READ.div_ceil(answer.bytes().len()) + 1),
            answer,
        }
    }

    /// Whatever is sent comes back.
    pub fn echo(message: &[u8], in_flight: usize) -> Self {
        Self::new(message, Answer::constant(message), in_flight)
    }

    /// Whether `received`, which begins at byte `at` of an answer, is what it must be.
    fn accepts(&mut self, at: usize, received: &[u8]) -> bool {
        if *received == self.answers[at..][..received.len()] {
            return true;
        }
        if !self.answer.matches(at, received) {
            return false;
        }
        if let Some(varying) = self.answer.last_varying(at, received) {
            self.answer.renew(&mut self.answers, varying);
        }
        true
    }
}

/// What one run did.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Requests answered.
    pub answers: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// Open connections that carry one kind of exchange. Nothing is in flight between two runs.
#[derive(Debug)]
pub struct Load<S = TcpStream> {
    poll: Poll,
    exchange: Exchange,
    connections: Vec<Connection<S>>,
    buffer: Vec<u8>,
}

impl<S: Read + Write + Source> Load<S> {
    /// Opens `count` connections: nonblocking, and ready for the first request.
    pub fn open(
        exchange: Exchange,
        count: usize,
        mut connect: impl FnMut() -> io::Result<S>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            let mut stream = connect()?;
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            connections.push(Connection::new(stream));
        }
        Ok(Self { poll, exchange, connections, buffer: vec![0; READ] })
    }

    /// Keeps every connection's requests in flight for `duration`, then waits for the last answers.
    pub fn run(&mut self, duration: Duration) -> io::Result<Run> {
        let Self { poll, exchange, connections, buffer } = self;
        let mut events = Events::with_capacity(connections.len().max(1));
        let mut outstanding = connections.len() * exchange.in_flight;
        let mut answers = 0;
        let start = Instant::now();
        let mut stopping = false;
        for connection in connections.iter_mut() {
            connection.owed = exchange.in_flight * exchange.request;
            connection.send(exchange)?;
        }
        while outstanding > 0 {
            wait(poll, &mut events)?;
            for event in &events {
                let connection = &mut connections[event.token().0];
                let answered = connection.receive(exchange, buffer)?;
                answers += answered as u64;
                if stopping {
                    outstanding -= answered;
                } else {
                    connection.owed += answered * exchange.request;
                }
                connection.send(exchange)?;
            }
            stopping = stopping || start.elapsed() >= duration;
        }
        Ok(Run { answers, elapsed: start.elapsed() })
    }
}

/// A speaker, and those who are told what it says. Nothing is under way between two runs.
#[derive(Debug)]
pub struct Audience<S = TcpStream> {
    poll: Poll,
    exchange: Exchange,
    speaker: Connection<S>,
    members: Vec<Connection<S>>,
    buffer: Vec<u8>,
}

impl<S: Read + Write + Source> Audience<S> {
    /// Of open connections, nonblocking: each of `members` is told the answer for each request of the `speaker`.
    pub fn gather(exchange: Exchange, members: Vec<S>, mut speaker: S) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listening = Vec::with_capacity(members.len());
        for (index, mut stream) in members.into_iter().enumerate() {
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            listening.push(Connection::new(stream));
        }
        poll.registry().register(&mut speaker, Token(listening.len()), Interest::WRITABLE)?;
        let speaker = Connection::new(speaker);
        Ok(Self { poll, exchange, speaker, members: listening, buffer: vec![0; READ] })
    }

    /// Has the speaker speak for `duration`, always as many messages ahead of what all together have heard as may be in
    /// flight, then waits until all have heard all. The answers of the run are deliveries.
    pub fn run(&mut self, duration: Duration) -> io::Result<Run> {
        let Self { poll, exchange, speaker, members, buffer } = self;
        let mut events = Events::with_capacity(members.len() + 1);
        let (mut said, mut deliveries) = (exchange.in_flight, 0);
        let start = Instant::now();
        speaker.owed = said * exchange.request;
        speaker.send(exchange)?;
        while deliveries < said * members.len() {
            wait(poll, &mut events)?;
            for event in &events {
                if let Some(member) = members.get_mut(event.token().0) {
                    deliveries += member.receive(exchange, buffer)?;
                }
            }
            let ahead = said - deliveries / members.len();
            if ahead < exchange.in_flight && start.elapsed() < duration {
                said += exchange.in_flight - ahead;
                speaker.owed += (exchange.in_flight - ahead) * exchange.request;
            }
            speaker.send(exchange)?;
        }
        Ok(Run { answers: deliveries as u64, elapsed: start.elapsed() })
    }
}

fn wait(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    match poll.poll(events, Some(PATIENCE)) {
        Ok(()) if events.is_empty() => {
            Err(io::Error::new(ErrorKind::TimedOut, "the server stopped answering"))
        }
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct Connection<S> {
    stream: S,
    /// Bytes of requests to be written.
    owed: usize,
    /// Where in a request writing stopped.
    sent: usize,
    /// Where in an answer reading stopped.
    received: usize,
}

impl<S> Connection<S> {
    fn new(stream: S) -> Self {
        Self { stream, owed: 0, sent: 0, received: 0 }
    }
}

impl<S: Read + Write> Connection<S> {
    /// Writes what is owed, as far as the connection takes it.
    fn send(&mut self, exchange: &Exchange) -> io::Result<()> {
        while self.owed > 0 {
            match self.stream.write(&exchange.requests[self.sent..][..self.owed]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.owed -= n;
                    self.sent = (self.sent + n) % exchange.request;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads and compares what is there; returns the answers that became complete.
    fn receive(&mut self, exchange: &mut Exchange, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = exchange.answer.bytes().len();
        let mut answered = 0;
        loop {
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if !exchange.accepts(self.received, &buffer[..n]) {
                return Err(io::Error::new(ErrorKind::InvalidData, "an answer differs from what it must be"));
            }
            self.received += n;
            answered += self.received / answer;
            self.received %= answer;
            // A read that does not fill the buffer has emptied the socket: epoll(7), question 9.
            if n < buffer.len() {
                return Ok(answered);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server on a thread of its own that answers each connection's bytes after `change`.
    fn server(change: fn(u64, &mut [u8])) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let (mut buffer, mut total) = ([0; 1000], 0);
                    while let Ok(n @ 1..) = stream.read(&mut buffer) {
                        change(total, &mut buffer[..n]);
                        total += n as u64;
                        if stream.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        address
    }

    fn load(address: SocketAddr, message: &[u8], in_flight: usize) -> Load {
        Load::open(Exchange::echo(message, in_flight), 3, || connect(address)).unwrap()
    }

    #[test]
    fn every_request_in_flight_is_answered_before_a_run_ends() {
        let mut load = load(server(|_, _| ()), b"seven..", 5);
        for _ in 0..2 {
            assert!(load.run(Duration::from_millis(20)).unwrap().answers >= 15);
            assert!(
                load.connections.iter().all(|connection| connection.owed == 0 && connection.received == 0)
            );
        }
    }

    #[test]
    fn a_megabyte_in_flight_to_a_server_that_writes_before_it_reads_on_does_not_block() {
        let mut load = load(server(|_, _| ()), &[b'x'; 8192], 128);
        assert!(load.run(Duration::from_millis(1)).unwrap().answers >= 3 * 128);
    }

    #[test]
    fn the_buffer_of_answers_follows_a_date() {
        let answer = |date: &str| format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 1\r\n\r\nx");
        let (early, late) = (answer("0:00:01"), answer("0:00:02"));
        let learned = Answer::learn(&mut early.as_bytes(), b"x").unwrap();
        let mut exchange = Exchange::new(b"?", learned, 1);
        assert!(exchange.accepts(0, late.as_bytes()));
        assert!(exchange.answers.starts_with(late.repeat(2).as_bytes()));
        assert!(exchange.accepts(1, &early.as_bytes()[1..]));
        assert!(!exchange.accepts(1, early.as_bytes()));
    }

    #[test]
    fn one_wrong_bit_in_an_answer_is_found() {
        let address = server(|total, bytes| {
            if total > 5000 {
                bytes[0] ^= 1;
            }
        });
        let error = load(address, b"message", 100).run(Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
