//! Instructions of user space per request, counted by valgrind's callgrind.
//!
//! A server is run twice and asked a different number of times over one connection; the difference is what requests
//! cost, without start and end. Nothing else is under way, so each read brings exactly what was asked at a time.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::answer::Answer;
use crate::dial::dial;
use crate::machine::Machine;
use crate::process::ServerProcess;
use crate::servers::Contender;

/// Requests of the shorter and of the longer run, more or less.
const RUNS: [usize; 2] = [1_000, 5_000];

/// Whether valgrind is installed.
pub fn can_be_counted() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    valgrind.status().is_ok_and(|status| status.success())
}

/// Instructions per `request` of `peer`, asked `in_flight` at a time. Each is answered by `body`.
pub fn per_request<P: Contender>(
    machine: &Machine,
    peer: P,
    request: &[u8],
    body: &[u8],
    in_flight: usize,
) -> io::Result<f64> {
    per(machine, peer, |address, turns| {
        let turns = turns.div_ceil(in_flight);
        let mut stream = dial(address, 0)?;
        stream.write_all(request)?;
        let answer = Answer::learn(&mut stream, body)?;
        let requests = request.repeat(in_flight);
        let mut answers = vec![0; answer.bytes().len() * in_flight];
        for _ in 0..turns {
            stream.write_all(&requests)?;
            answer.hear(&mut stream, &mut answers)?;
        }
        Ok(turns * in_flight)
    })
}

/// Instructions of `peer` per whatever `ask` asks it for: it is told how often, more or less, and says how often it did.
pub fn per<P: Contender>(
    machine: &Machine,
    peer: P,
    mut ask: impl FnMut(SocketAddr, usize) -> io::Result<usize>,
) -> io::Result<f64> {
    let mut run = |requests| {
        let server = ServerProcess::start_counted(machine, peer)?;
        let asked = ask(server.address(), requests)?;
        Ok::<_, io::Error>((asked as f64, server.instructions()? as f64))
    };
    let [short, long] = RUNS.map(&mut run);
    let ((fewer, less), (more, most)) = (short?, long?);
    Ok((most - less) / (more - fewer))
}
