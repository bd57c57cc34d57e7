//! An answer as it must come back: every byte of it, but for those that change with time.
//!
//! An HTTP server's answer is learned once, when its status and its body are checked; after that it is the same
//! again and again, except for the value of its Date.

use std::io::{self, Read};
use std::ops::Range;

use httparse::{EMPTY_HEADER, Status};
use memchr::memmem;

/// The longest answer that is learned, in bytes.
const LONGEST: usize = 128 * 1024;
/// The most header fields of an answer that is learned.
const MOST_FIELDS: usize = 32;

/// What each answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    bytes: Vec<u8>,
    /// What may change between two answers, though not in length.
    varying: Range<usize>,
}

impl Answer {
    /// The same `bytes` each time; at least one.
    pub fn constant(bytes: &[u8]) -> Self {
        assert!(!bytes.is_empty());
        Self { bytes: bytes.to_vec(), varying: 0..0 }
    }

    /// Reads one HTTP answer from `stream`: status 200, `body`, and nothing behind it.
    pub fn learn(stream: &mut impl Read, body: &[u8]) -> io::Result<Self> {
        let mut bytes = vec![0; LONGEST];
        let mut filled = 0;
        loop {
            if let Some(answer) = Self::parse(&bytes[..filled], body)? {
                return Ok(answer);
            }
            match stream.read(&mut bytes[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
    }

    /// `None`: the answer is not complete.
    fn parse(bytes: &[u8], body: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let Status::Complete(head) = response.parse(bytes).map_err(|error| wrong(&error.to_string()))? else {
            return Ok(None);
        };
        if response.code != Some(200) {
            return Err(wrong(&format!("its status is {}", response.code.unwrap_or_default())));
        }
        let field = |name: &str| {
            let mut fields = response.headers.iter();
            fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        if field("Content-Length") != Some(body.len().to_string().as_bytes()) {
            return Err(wrong("its Content-Length is not that of the body"));
        }
        if bytes.len() < head + body.len() {
            return Ok(None);
        }
        if bytes[head..] != *body {
            return Err(wrong("its body is another one"));
        }
        let date = field("Date").and_then(|date| Some((memmem::find(bytes, date)?, date.len())));
        let varying = date.map_or(0..0, |(start, length)| start..start + length);
        Ok(Some(Self { bytes: bytes.to_vec(), varying }))
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads as many answers from `stream` as fit `buffer`, and checks them.
    pub fn hear(&self, stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
        stream.read_exact(buffer)?;
        match self.matches(0, buffer) {
            true => Ok(()),
            false => Err(wrong("it differs from the first")),
        }
    }

    /// Whether `received`, which begins at byte `at` of an answer, is what it must be.
    pub fn matches(&self, at: usize, received: &[u8]) -> bool {
        let expected = self.bytes.iter().enumerate().cycle().skip(at);
        received
            .iter()
            .zip(expected)
            .all(|(byte, (place, expected))| byte == expected || self.varying.contains(&place))
    }

    /// What varies, as it is in the last answer of `received` that has it whole; `received` begins at byte `at`.
    pub fn last_varying<'a>(&self, at: usize, received: &'a [u8]) -> Option<&'a [u8]> {
        let (period, Range { start, end }) = (self.bytes.len(), self.varying.clone());
        let first = if at <= start { start - at } else { period - at + start };
        let more = received.len().checked_sub(first + (end - start))? / period;
        received[first + more * period..].get(..end - start)
    }

    /// Takes over what varies into `answers`, a row of answers.
    pub fn renew(&self, answers: &mut [u8], varying: &[u8]) {
        for answer in answers.chunks_exact_mut(self.bytes.len()) {
            answer[self.varying.clone()].copy_from_slice(varying);
        }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an answer is not what was asked for: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 00:57:55 GMT\r\nContent-Length: 2\r\n\r\nhi";
    const LATER: &[u8] =
        b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 00:57:56 GMT\r\nContent-Length: 2\r\n\r\nhi";

    fn learn(mut answer: &[u8]) -> io::Result<Answer> {
        Answer::learn(&mut answer, b"hi")
    }

    #[test]
    fn another_date_is_the_same_answer_wherever_it_is_cut() {
        let answer = learn(ANSWER).unwrap();
        let three = [ANSWER, LATER, LATER].concat();
        for at in 0..ANSWER.len() {
            for end in at..three.len() {
                assert!(answer.matches(at, &three[at..end]), "{at} {end}");
            }
        }
    }

    #[test]
    fn any_other_byte_that_differs_is_found() {
        let answer = learn(ANSWER).unwrap();
        let date = memmem::find(ANSWER, b"Mon").unwrap();
        for place in (0..ANSWER.len()).filter(|place| !(date..date + 29).contains(place)) {
            let mut two = [ANSWER, ANSWER].concat();
            two[ANSWER.len() + place] ^= 1;
            assert!(!answer.matches(3, &two[3..]), "{place}");
        }
    }

    #[test]
    fn answers_are_heard_only_if_they_are_the_same() {
        let answer = learn(ANSWER).unwrap();
        let mut buffer = vec![0; 2 * ANSWER.len()];
        answer.hear(&mut &[ANSWER, LATER].concat()[..], &mut buffer).unwrap();
        let error = answer.hear(&mut &[ANSWER, &LATER.to_ascii_uppercase()].concat()[..], &mut buffer);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_last_whole_date_is_taken_over() {
        let answer = learn(ANSWER).unwrap();
        let two = [ANSWER, LATER].concat();
        let date = memmem::find(ANSWER, b"Mon").unwrap();
        let varying = |at: usize, end: usize| answer.last_varying(at, &two[at..end]);
        assert_eq!(varying(0, two.len()).unwrap(), &LATER[date..date + 29]);
        assert_eq!(varying(0, two.len() - 30), Some(&ANSWER[date..date + 29]));
        assert_eq!(varying(date + 1, two.len()).unwrap(), &LATER[date..date + 29]);
        assert_eq!(varying(date + 1, ANSWER.len() + date), None);
        let mut answers = ANSWER.repeat(2);
        answer.renew(&mut answers, varying(0, two.len()).unwrap());
        assert_eq!(answers, LATER.repeat(2));
    }

    #[test]
    fn what_is_not_the_answer_is_refused() {
        for wrong in [
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\n\r\nhi",
            "HELLO\r\n\r\n",
        ] {
            assert_eq!(learn(wrong.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{wrong}");
        }
        assert_eq!(learn(&ANSWER[..ANSWER.len() - 1]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
