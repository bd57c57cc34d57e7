//! A foreign HTTP client made of a plain socket: writes what it is told, reads one answer after another.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::common::dial;

pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines of the head, names in small letters as they are sent.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { stream: BufReader::new(dial(address)) }
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request without a body, `fields` ended by CRLF each, and reads the answer.
    pub(crate) fn ask(&mut self, method: &str, target: &str, fields: &str) -> Answer {
        self.write(format!("{method} {target} HTTP/1.1\r\nhost: here\r\n{fields}\r\n"));
        self.answer(method == "HEAD")
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, "")
    }

    pub(crate) fn post(&mut self, target: &str, fields: &str, body: &str) -> Answer {
        let length = body.len();
        self.write(format!(
            "POST {target} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
        ));
        self.answer(false)
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    /// The status line and the fields.
    pub(crate) fn head(&mut self) -> (u16, String) {
        let line = self.line();
        assert!(line.starts_with("HTTP/1.1 "), "{line:?}");
        (line[9..12].parse().unwrap(), self.fields())
    }

    fn fields(&mut self) -> String {
        let mut fields = String::new();
        loop {
            match self.line().as_str() {
                "\r\n" => return fields,
                "" => panic!("the head ends with the connection: {fields}"),
                line => fields += line,
            }
        }
    }

    pub(crate) fn answer(&mut self, is_head: bool) -> Answer {
        let (status, head) = self.head();
        let mut answer = Answer { status, head, body: Vec::new(), trailers: String::new() };
        if is_head || status == 204 || status == 304 {
            return answer;
        }
        if let Some(length) = answer.field("content-length") {
            answer.body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut answer.body).unwrap();
        } else if answer.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
            answer.trailers = self.fields();
        } else {
            panic!("not framed: {}", answer.head);
        }
        answer
    }

    /// `None` for the last chunk; the trailers come behind it.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(self.line().trim_end(), 16).unwrap();
        if size == 0 {
            return None;
        }
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).unwrap();
        assert_eq!(self.line(), "\r\n");
        Some(chunk)
    }

    /// What comes until the connection ends, in order or not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

impl Answer {
    pub(crate) fn field<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
