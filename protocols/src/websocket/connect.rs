//! The client's side of the handshake (RFC 6455, 4.1).

use netloom_core::{Code, Error, Fault, Platform, Result, Session};

use super::frames::{Client, Frames};
use super::handshake::{KEY, accept_for, elements, key_of};
use super::socket::Socket;
use crate::http1::{
    ClientMessage, Content, FieldWriter, Fields, Http1Client, RequestOut, Response, ToFields,
};

/// A client's WebSocket on a session of its own.
pub type ClientSocket<P, K> = Socket<Session<P, Frames<Client<K>>>>;

/// What a client asks for. On desktops there is a `Connector` around it that knows URLs.
///
/// ```
/// use netloom_core::{Platform, Result, Session};
/// use netloom_protocols::http1::Http1Client;
/// use netloom_protocols::websocket::{Connect, Message};
///
/// /// Tells a temperature and waits for what is wanted.
/// async fn regulate<P: Platform>(
///     session: Session<P, Http1Client>,
///     random: [u8; 16],
///     keys: impl FnMut() -> [u8; 4],
/// ) -> Result<bool> {
///     let mut socket = Connect::new("example.com", "/heating").connect(session, random, keys).await?;
///     socket.send("21.5").await?;
///     let wanted = socket.receive().await?;
///     Ok(matches!(wanted, Some((Message::Text("on"), _))))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    host: &'a str,
    target: &'a str,
    origin: &'a str,
    protocols: &'static [&'static str],
    fields: &'a dyn ToFields,
}

impl<'a> Connect<'a> {
    /// What is at `target` (`/path?query`) of `host`, which has a port if that is not the scheme's.
    pub const fn new(host: &'a str, target: &'a str) -> Self {
        Self { host, target, origin: "", protocols: &[], fields: &() }
    }

    /// The subprotocols that the application speaks, the best first.
    #[must_use]
    pub const fn protocols(mut self, protocols: &'static [&'static str]) -> Self {
        self.protocols = protocols;
        self
    }

    /// Whose page this is, as browsers say it: `https://example.com`. Others have none.
    #[must_use]
    pub const fn origin(mut self, origin: &'a str) -> Self {
        self.origin = origin;
        self
    }

    /// Further fields of the request; not those that are the handshake's.
    #[must_use]
    pub const fn fields(mut self, fields: &'a dyn ToFields) -> Self {
        self.fields = fields;
        self
    }

    /// Asks, and makes a socket of `session`. `random` are 16 bytes that nobody chose, and `keys` are the
    /// [masking keys](Client). A server that refuses is not asked again, and what it says besides its status is not
    /// read: so redirects are refusals too.
    ///
    /// # Errors
    /// [`Code::HandshakeFailed`], with the status on the [wire](Error::wire), if the server did not agree (101 if it
    /// says so and does not show that it knows WebSocket, or agrees on what was not asked for);
    /// [`Code::InvalidText`] for what cannot be written; what ended the session.
    pub async fn connect<P: Platform, K: FnMut() -> [u8; 4]>(
        self,
        mut session: Session<P, Http1Client>,
        random: [u8; 16],
        keys: K,
    ) -> Result<ClientSocket<P, K>> {
        let key = key_of(random);
        self.ask(&mut session, &key)?;
        let mut response = Response::wait(&mut session).await?;
        let protocol = agreed(response.status(), response.fields(), &key, self.protocols)?;
        // What came behind the response is the first of the frames.
        Ok(Socket::new(session.switch(Frames::new(Client(keys))), protocol))
    }

    /// Queues the question with `key`, which is [`key_of`] 16 bytes that nobody chose: for hosts that
    /// [look at the response](agreed) themselves.
    ///
    /// # Errors
    /// [`Code::InvalidText`] for what cannot be written; [`Code::BufferFull`] if it does not fit the send queue; what
    /// ended the session.
    pub fn ask<P: Platform>(&self, session: &mut Session<P, Http1Client>, key: &[u8; KEY]) -> Result<()> {
        let fields = Question { key, origin: self.origin, protocols: self.protocols, fields: self.fields };
        let request = RequestOut {
            upgrade: "websocket",
            fields: &fields,
            ..RequestOut::new("GET", self.target, self.host)
        };
        session.let_go();
        session.try_send(ClientMessage::Whole(request, Content::Bytes(b"")))
    }
}

/// Whether a response to `key` is that of a server that speaks WebSocket, and which of `protocols` it has chosen.
///
/// # Errors
/// [`Code::HandshakeFailed`], with the status on the [wire](Error::wire).
pub fn agreed(
    status: u16,
    fields: Fields<'_>,
    key: &[u8; KEY],
    protocols: &'static [&'static str],
) -> Result<Option<&'static str>> {
    if elements(fields.get_all("sec-websocket-extensions")).any(|name| !name.is_empty()) {
        return Err(refused(status));
    }
    agreed_but_for_extensions(status, fields, key, protocols)
}

/// [`agreed`], and what a server that was offered compression has made of it.
///
/// # Errors
/// As for [`agreed`].
#[cfg(feature = "deflate")]
pub fn agreed_on(
    status: u16,
    fields: Fields<'_>,
    key: &[u8; KEY],
    protocols: &'static [&'static str],
    offer: &super::Offer,
) -> Result<(Option<&'static str>, Option<super::Parameters>)> {
    let protocol = agreed_but_for_extensions(status, fields, key, protocols)?;
    let extensions = fields.get_all("sec-websocket-extensions");
    let parameters = offer.accepted(extensions).map_err(|_| refused(status))?;
    Ok((protocol, parameters))
}

fn agreed_but_for_extensions(
    status: u16,
    fields: Fields<'_>,
    key: &[u8; KEY],
    protocols: &'static [&'static str],
) -> Result<Option<&'static str>> {
    // The codec has seen to Connection. RFC 6455, 4.1: what it must say, and must not.
    let mut upgrade = elements(fields.get_all("upgrade"));
    let upgrades = upgrade.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
    let accepts = one(fields, "sec-websocket-accept")? == Some(&accept_for(key)[..]);
    if status != 101 || !upgrades || upgrade.next().is_some() || !accepts {
        return Err(refused(status));
    }
    let Some(chosen) = one(fields, "sec-websocket-protocol")? else { return Ok(None) };
    let known = protocols.iter().copied().find(|name| name.as_bytes() == chosen);
    known.map(Some).ok_or(refused(status))
}

/// The value of a field that may be there once.
fn one<'a>(fields: Fields<'a>, name: &str) -> Result<Option<&'a [u8]>> {
    let mut values = fields.get_all(name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(refused(101)),
    }
}

fn refused(status: u16) -> Error {
    Error::new(Code::HandshakeFailed).blame(Fault::Peer).on_wire(status)
}

/// The fields of the request; the codec writes Host, Connection and Upgrade.
struct Question<'a> {
    key: &'a [u8; KEY],
    origin: &'a str,
    protocols: &'static [&'static str],
    fields: &'a dyn ToFields,
}

impl ToFields for Question<'_> {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        out.field("sec-websocket-key", self.key)?;
        out.field("sec-websocket-version", b"13")?;
        for protocol in self.protocols {
            out.field("sec-websocket-protocol", protocol.as_bytes())?;
        }
        if !self.origin.is_empty() {
            out.field("origin", self.origin.as_bytes())?;
        }
        self.fields.put(out)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use netloom_core::Outbox;
    use std::format;
    use std::string::String;

    use super::*;
    use crate::http1::{HeadLimits, Method, response};

    const KEY_OF_RFC: &[u8; KEY] = b"dGhlIHNhbXBsZSBub25jZQ==";
    const AGREES: &str = "upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn check(status: u16, fields: &str) -> Result<Option<&'static str>> {
        let head = format!("HTTP/1.1 {status} X\r\nconnection: upgrade\r\n{fields}\r\n");
        let limits = HeadLimits { head: 4096, target: 0, fields: 99 };
        let (_, parsed) = response(head.as_bytes(), Method::Get, &limits).unwrap().unwrap();
        agreed(status, parsed.fields(head.as_bytes()), KEY_OF_RFC, &["chat", "superchat"])
    }

    #[test]
    fn the_request_says_what_rfc_6455_wants_and_what_the_caller_does() {
        let (mut bytes, mut len) = ([0; 512], 0);
        let question = Question {
            key: KEY_OF_RFC,
            origin: "http://example.com",
            protocols: &["chat", "superchat"],
            fields: &("cookie", "a=b"),
        };
        question.put(&mut FieldWriter::new(&mut Outbox::new(&mut bytes, &mut len))).unwrap();
        let expected = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
            sec-websocket-protocol: chat\r\nsec-websocket-protocol: superchat\r\norigin: http://example.com\r\n\
            cookie: a=b\r\n";
        assert_eq!(String::from_utf8_lossy(&bytes[..len]), expected);
    }

    #[test]
    fn an_answer_that_shows_knowledge_of_websocket_is_taken() {
        assert_eq!(check(101, AGREES), Ok(None));
        assert_eq!(check(101, &AGREES.replace("websocket\r", "WebSocket\r")), Ok(None));
        let chosen = format!("{AGREES}sec-websocket-protocol: superchat\r\n");
        assert_eq!(check(101, &chosen), Ok(Some("superchat")));
        assert_eq!(check(101, &format!("{AGREES}sec-websocket-extensions: \r\n")), Ok(None));
    }

    #[test]
    fn an_answer_that_does_not_or_that_agrees_on_what_was_not_asked_for_is_refused() {
        for wrong in [
            "upgrade: websocket\r\n",
            "upgrade: h2c\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "upgrade: websocket, h2c\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n",
            "upgrade: websocket\r\nsec-websocket-accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n",
        ] {
            assert_eq!(check(101, wrong), Err(refused(101)), "{wrong}");
        }
        for more in [
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "sec-websocket-protocol: other\r\n",
            "sec-websocket-protocol: Chat\r\n",
            "sec-websocket-protocol: chat, superchat\r\n",
            "sec-websocket-protocol: chat\r\nsec-websocket-protocol: chat\r\n",
            "sec-websocket-extensions: permessage-deflate\r\n",
        ] {
            assert_eq!(check(101, &format!("{AGREES}{more}")), Err(refused(101)), "{more}");
        }
    }

    #[test]
    fn a_refusal_has_the_status_on_the_wire() {
        for status in [200, 301, 400, 403, 426, 503] {
            let error = check(status, AGREES).unwrap_err();
            assert_eq!((error.code(), error.wire()), (Code::HandshakeFailed, status));
        }
    }
}
