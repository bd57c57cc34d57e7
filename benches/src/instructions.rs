//! Instructions of user space per request, counted by valgrind's callgrind.
//!
//! A server is run twice and asked a different number of times over one connection; the difference is what requests
//! cost, without start and end. Nothing else is under way, so each read brings exactly what was asked at a time.

use std::io::{self, Write};
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
    let [short, long] = RUNS.map(|requests| {
        let turns = requests.div_ceil(in_flight);
        let counted = run(machine, peer, request, body, in_flight, turns)?;
        Ok::<_, io::Error>(((turns * in_flight) as f64, counted as f64))
    });
    let ((fewer, less), (more, most)) = (short?, long?);
    Ok((most - less) / (more - fewer))
}

/// Instructions of a server that is asked `turns` times, `in_flight` at a time.
fn run<P: Contender>(
    machine: &Machine,
    peer: P,
    request: &[u8],
    body: &[u8],
    in_flight: usize,
    turns: usize,
) -> io::Result<u64> {
    let server = ServerProcess::start_counted(machine, peer)?;
    let mut stream = dial(server.address(), 0)?;
    stream.write_all(request)?;
    let answer = Answer::learn(&mut stream, body)?;
    let requests = request.repeat(in_flight);
    let mut answers = vec![0; answer.bytes().len() * in_flight];
    for _ in 0..turns {
        stream.write_all(&requests)?;
        answer.hear(&mut stream, &mut answers)?;
    }
    server.instructions()
}
