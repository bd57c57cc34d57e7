//! The acceptance scenario: what every board has to do, seen from outside through plain TCP.
//!
//! The board echoes frames. Each check opens its own connections and is done with them; a board may need a moment to
//! notice, so a check asks for its clients with patience ([`Scenario::client`]). No check looks inside the board.

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, Ending, Result};

/// Messages in the check of order and rate.
const MESSAGES: u32 = 2_000;

/// Of these, how many are on their way at once: with 20 bytes each they fit a board's 1 KB buffers.
const DEPTH: u32 = 16;

/// Connections opened and closed in a row.
const CONNECTS: u32 = 200;

/// A length that no board has room for.
const GIGABYTE: u32 = 1 << 30;

/// What a check found: a remark, or what went wrong.
type Outcome = Result<Option<String>>;

/// A check's name, which tells what is observed, and the check.
type Check = (&'static str, fn(&Scenario) -> Outcome);

/// In the order in which they run.
const CHECKS: [Check; 11] = [
    ("a frame of 0 bytes comes back", |board| board.echoes(0)),
    ("a frame of 1 byte comes back", |board| board.echoes(1)),
    ("a frame of 64 bytes comes back", |board| board.echoes(64)),
    ("a frame of 1000 bytes comes back", |board| board.echoes(1000)),
    ("frames cut into single bytes come back", Scenario::echoes_frames_in_single_bytes),
    ("2,000 messages, 16 at a time, come back in order", Scenario::keeps_order),
    ("as many clients as sessions are served at once", Scenario::serves_all_sessions),
    ("a client too many is not reset, and served when another leaves", Scenario::refuses_in_order),
    ("half a frame ends its connection in order", Scenario::survives_half_a_frame),
    ("an announced gigabyte ends its connection and no other", Scenario::refuses_a_gigabyte),
    ("200 connects and closes leave every session free", Scenario::survives_connects),
];

/// How many checks held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// A board to be checked.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    address: SocketAddr,
    sessions: usize,
    /// How long the board may take for one thing.
    patience: Duration,
}

impl Scenario {
    /// A board at `address` that serves `sessions` clients at once.
    pub(crate) fn new(address: SocketAddr, sessions: usize) -> Self {
        Self { address, sessions, patience: Duration::from_secs(5) }
    }

    /// Runs every check and prints a line for each.
    pub(crate) fn run(&self, tally: &mut Tally) {
        for (name, check) in CHECKS {
            match check(self) {
                Ok(remark) => {
                    tally.passed += 1;
                    println!(
                        "ok       {name}{}",
                        remark.map(|text| format!(" ({text})")).unwrap_or_default()
                    );
                }
                Err(reason) => {
                    tally.failed += 1;
                    println!("FAILED   {name}: {reason}");
                }
            }
        }
    }

    /// A connection that may or may not be served.
    fn connect(&self) -> Result<Client> {
        Client::connect(self.address, self.patience)
    }

    /// A client that is served: an empty frame has come back. Asks again while the board is busy.
    fn client(&self) -> Result<Client> {
        let deadline = Instant::now() + self.patience;
        loop {
            let attempt = self.connect().and_then(|mut client| client.echo(b"").map(|()| client));
            if attempt.is_ok() || Instant::now() >= deadline {
                return attempt.map_err(|reason| format!("the board serves nobody: {reason}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A client for every session.
    fn clients(&self) -> Result<Vec<Client>> {
        (1..=self.sessions)
            .map(|number| {
                self.client().map_err(|reason| format!("client {number} of {}: {reason}", self.sessions))
            })
            .collect()
    }

    fn echoes(&self, len: usize) -> Outcome {
        self.client()?.echo(&payload(len))?;
        Ok(None)
    }

    fn echoes_frames_in_single_bytes(&self) -> Outcome {
        let mut client = self.client()?;
        for len in [0, 3, 64] {
            let payload = payload(len);
            for byte in crate::client::frame(&payload) {
                client.send_bytes(&[byte])?;
            }
            client.expect(&payload)?;
        }
        Ok(None)
    }

    fn keeps_order(&self) -> Outcome {
        let mut client = self.client()?;
        let started = Instant::now();
        for number in 0..MESSAGES + DEPTH {
            if let Some(oldest) = number.checked_sub(DEPTH) {
                client.expect(&message(oldest)).map_err(|reason| format!("message {oldest}: {reason}"))?;
            }
            if number < MESSAGES {
                client.send(&message(number))?;
            }
        }
        let rate = f64::from(MESSAGES) / started.elapsed().as_secs_f64();
        Ok(Some(format!("{rate:.0} messages/s")))
    }

    fn serves_all_sessions(&self) -> Outcome {
        let mut clients = self.clients()?;
        for round in 0..10 {
            let payload = payload(100 + round);
            for client in &mut clients {
                client.send(&payload)?;
            }
            for (number, client) in clients.iter_mut().enumerate() {
                client.expect(&payload).map_err(|reason| format!("client {}: {reason}", number + 1))?;
            }
        }
        Ok(Some(format!("{} clients", clients.len())))
    }

    fn refuses_in_order(&self) -> Outcome {
        let mut clients = self.clients()?;
        let mut extra = self.connect()?;
        // It talks first, as clients do: a board that refuses has to read that, or its refusal becomes a reset.
        let answer = extra.try_echo(b"one too many", self.patience / 2)?;
        for (number, client) in clients.iter_mut().enumerate() {
            client.echo(b"still here").map_err(|reason| format!("client {}: {reason}", number + 1))?;
        }
        drop(clients.pop());
        match answer {
            Answer::Not(Ending::Reset) => Err("it was reset".to_string()),
            Answer::Not(Ending::Open) => {
                extra.expect(b"one too many").map_err(|reason| format!("it waited in vain: {reason}"))?;
                Ok(Some("it waited and was served".to_string()))
            }
            Answer::Not(Ending::Orderly) => {
                self.client()?;
                Ok(Some("it was turned away".to_string()))
            }
            Answer::Served => {
                self.client()?;
                Ok(Some("it was served as well".to_string()))
            }
        }
    }

    fn survives_half_a_frame(&self) -> Outcome {
        // Once for every session: a board that loses one by it has none in the end.
        for _ in 0..=self.sessions {
            let mut client = self.client()?;
            let frame = crate::client::frame(&payload(100));
            client.send_bytes(&frame[..54])?;
            client.finish()?;
            match client.ending(self.patience)? {
                Ending::Orderly => {}
                ending => return Err(format!("the connection {ending}")),
            }
        }
        self.client()?;
        Ok(None)
    }

    fn refuses_a_gigabyte(&self) -> Outcome {
        let mut other = self.client()?;
        let mut greedy = self.client()?;
        greedy.send_bytes(&GIGABYTE.to_be_bytes())?;
        other.echo(b"meanwhile")?;
        let ending = greedy.ending(self.patience)?;
        other.echo(b"afterwards").map_err(|reason| format!("the other connection: {reason}"))?;
        match ending {
            // A reset is in order here: what else can be said to bytes that will never be read?
            Ending::Orderly | Ending::Reset => Ok(None),
            Ending::Open => Err(format!("the connection {ending} after {} s", self.patience.as_secs_f32())),
        }
    }

    /// Every other client is gone as soon as it is connected, the ones between close in order.
    fn survives_connects(&self) -> Outcome {
        for number in 1..=CONNECTS {
            let connected = self.connect().and_then(|mut client| {
                if !number.is_multiple_of(2) {
                    return Ok(Ending::Orderly);
                }
                // Seen to its end, or QEMU's backlog of one connection would be full and each connect take a second.
                client.finish()?;
                client.ending(self.patience)
            });
            match connected.map_err(|reason| format!("connect {number}: {reason}"))? {
                Ending::Orderly | Ending::Reset => {}
                Ending::Open => return Err(format!("connect {number} was closed here but not there")),
            }
        }
        self.serves_all_sessions()
    }
}

/// Bytes that differ from their neighbours.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// A message of 16 bytes that says which one it is.
fn message(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(4)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::Arc;

    use super::*;

    const SESSIONS: usize = 2;

    /// What a board's application is in these tests: it has the connection until it returns.
    type Application = fn(&mut TcpStream) -> std::io::Result<()>;

    /// A board without the board: serves `SESSIONS` at once and turns others away in order. It lives as long as the
    /// test's process.
    fn board(application: Application) -> Scenario {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Arc::new(());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(|stream| stream.ok()) {
                let session = Arc::clone(&sessions);
                thread::spawn(move || {
                    if Arc::strong_count(&session) <= SESSIONS + 1 {
                        let _ = application(&mut stream);
                    }
                    drop(session);
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                });
            }
        });
        Scenario { address, sessions: SESSIONS, patience: Duration::from_millis(500) }
    }

    fn framed_echo(stream: &mut TcpStream) -> std::io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let len = u32::from_be_bytes(length) as usize;
            if len > 1_000 {
                return Ok(());
            }
            let mut payload = vec![0; len];
            stream.read_exact(&mut payload)?;
            stream.write_all(&crate::client::frame(&payload))?;
        }
    }

    fn byte_echo(stream: &mut TcpStream) -> std::io::Result<()> {
        let mut reader = stream.try_clone()?;
        std::io::copy(&mut reader, stream).map(|_| ())
    }

    #[test]
    fn a_board_that_does_all_this_passes() {
        let mut tally = Tally::default();
        board(framed_echo).run(&mut tally);
        assert_eq!(tally, Tally { passed: CHECKS.len(), failed: 0 });
    }

    #[test]
    fn a_board_that_does_not_look_at_lengths_fails_at_the_gigabyte() {
        let reason = board(byte_echo).refuses_a_gigabyte().unwrap_err();
        assert!(reason.contains("still open"), "{reason}");
    }

    #[test]
    fn a_board_that_mixes_up_messages_fails() {
        let upside_down: Application = |stream| {
            let mut byte = [0];
            loop {
                stream.read_exact(&mut byte)?;
                // The empty frames that open each check come back, the messages' numbers do not.
                byte[0] &= 0x7f;
                stream.write_all(&byte)?;
            }
        };
        let reason = board(upside_down).keeps_order().unwrap_err();
        assert!(reason.starts_with("message 128:"), "{reason}");
    }

    #[test]
    fn a_board_that_serves_nobody_is_given_up() {
        let reason = board(|_| Ok(())).echoes(1).unwrap_err();
        assert!(reason.contains("serves nobody"), "{reason}");
    }
}
