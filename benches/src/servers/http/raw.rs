//! The limit: finds where heads end, and answers each, all that one read brought in one write.

use std::io;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::servers::accept_each;

const HEAD_END: &[u8] = b"\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
/// What one read takes at most.
const READ: usize = 16 * 1024;

/// As many answers as one read can bring requests: no head is shorter than its end.
static ANSWERS: LazyLock<Vec<u8>> = LazyLock::new(|| ANSWER.repeat(READ / HEAD_END.len()));

/// Answers every head.
pub fn serve() -> io::Result<()> {
    accept_each(answer)
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let end = Finder::new(HEAD_END);
    let mut buffer = vec![0; READ];
    let mut kept = 0;
    loop {
        let filled = match stream.read(&mut buffer[kept..]).await? {
            0 => return Ok(()),
            n => kept + n,
        };
        let (heads, rest) = heads(&end, &buffer[..filled]);
        buffer.copy_within(rest..filled, 0);
        kept = filled - rest;
        if heads > 0 {
            stream.write_all(&ANSWERS[..heads * ANSWER.len()]).await?;
        }
    }
}

/// How many heads end in `bytes`, and from where on bytes may belong to the end of the next.
fn heads(end: &Finder<'_>, bytes: &[u8]) -> (usize, usize) {
    let (mut heads, mut rest) = (0, 0);
    while let Some(at) = end.find(&bytes[rest..]) {
        heads += 1;
        rest += at + HEAD_END.len();
    }
    (heads, rest.max(bytes.len().saturating_sub(HEAD_END.len() - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::http::BODY;

    #[test]
    fn the_answer_is_the_body_of_all() {
        assert!(ANSWER.ends_with(BODY.as_bytes()));
    }

    #[test]
    fn an_end_cut_by_reads_is_found() {
        let end = Finder::new(HEAD_END);
        assert_eq!(heads(&end, b"GET\r\n\r\nGET\r\n\r"), (1, 10));
        assert_eq!(heads(&end, b"\n\r\n"), (0, 0));
        assert_eq!(heads(&end, b"a\r\n\r\n\r\n\r\n"), (2, 9));
        assert_eq!(heads(&end, b""), (0, 0));
    }
}
