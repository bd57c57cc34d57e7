//! A client's exchange, for whoever has a session: boards, the laboratory, another host.
//!
//! Desktops have a client with connections of its own around it. This is the least: ask, look at the head, take the body.

use netloom_core::{Code, Error, Fault, Platform, Result, Session};

use super::client::{Found, Http1Client, Message, RequestOut};
use super::fields::Fields;
use super::head::ResponseHead;
use super::write::Content;

/// Asks with a whole request, and waits for the response's head.
///
/// ```
/// use netloom_core::{Platform, Result, Session};
/// use netloom_protocols::http1::{self, Content, Http1Client, RequestOut};
///
/// /// Reports a temperature; `true` if the server has taken it.
/// async fn report<P: Platform>(session: &mut Session<P, Http1Client>, json: &str) -> Result<bool> {
///     let fields = [("content-type", "application/json")];
///     let request = RequestOut { fields: &fields, ..RequestOut::new("POST", "/temperature", "example.com") };
///     let mut response = http1::ask(session, request, Content::Bytes(json.as_bytes())).await?;
///     let taken = response.status() == 204;
///     while response.receive().await?.is_some() {}
///     Ok(taken)
/// }
/// ```
///
/// # Errors
/// What ended the session; [`Code::InvalidSession`] while an earlier exchange is not over.
pub async fn ask<'s, P: Platform>(
    session: &'s mut Session<P, Http1Client>,
    request: RequestOut<'_>,
    content: Content<'_>,
) -> Result<Response<'s, P>> {
    session.let_go();
    session.send(Message::Whole(request, content)).await?;
    Response::wait(session).await
}

/// Begins a request whose body is sent in pieces, of `length` bytes together if that is known.
///
/// # Errors
/// As for [`ask`].
pub async fn ask_streaming<'s, P: Platform>(
    session: &'s mut Session<P, Http1Client>,
    request: RequestOut<'_>,
    length: Option<u64>,
) -> Result<Asking<'s, P>> {
    session.let_go();
    session.send(Message::Head(request, length)).await?;
    Ok(Asking { session })
}

/// A request whose body is being sent.
pub struct Asking<'s, P: Platform> {
    session: &'s mut Session<P, Http1Client>,
}

impl<'s, P: Platform> Asking<'s, P> {
    /// Sends a piece of the body.
    ///
    /// # Errors
    /// What ended the session; [`Code::InvalidSession`] for more than was announced.
    pub async fn send(&mut self, piece: &[u8]) -> Result<()> {
        self.session.send(Message::Piece(piece)).await
    }

    /// Ends the body, and waits for the response's head.
    ///
    /// # Errors
    /// As for [`ask`].
    pub async fn answer(self) -> Result<Response<'s, P>> {
        self.session.send(Message::End(&())).await?;
        Response::wait(self.session).await
    }
}

/// A response: its head, and its body as it comes.
pub struct Response<'s, P: Platform> {
    session: &'s mut Session<P, Http1Client>,
    head: ResponseHead,
}

impl<'s, P: Platform> Response<'s, P> {
    /// Waits for the head of the response to what was sent.
    ///
    /// # Errors
    /// What ended the session.
    pub async fn wait(session: &'s mut Session<P, Http1Client>) -> Result<Self> {
        loop {
            match session.find().await? {
                Some(Found::Head(head)) => {
                    session.hold();
                    return Ok(Self { session, head });
                }
                Some(Found::Interim(_)) => {}
                // The connection ended in order, but not before an answer was due.
                Some(Found::Piece(..) | Found::End) | None => {
                    return Err(Error::new(Code::ReceiveFailed).blame(Fault::Peer));
                }
            }
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The fields.
    pub fn fields(&mut self) -> Fields<'_> {
        self.head.fields(self.session.held())
    }

    /// The next piece of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// What ended the session: half a body is never a whole one.
    pub async fn receive(&mut self) -> Result<Option<&[u8]>> {
        match self.find().await? {
            Some((start, end)) => Ok(Some(&self.session.unit()[start..end])),
            None => Ok(None),
        }
    }

    /// The whole body in one piece. It must fit the receive queue behind the head.
    ///
    /// # Errors
    /// [`Code::MessageTooLarge`], and as for [`receive`](Self::receive).
    pub async fn body(mut self) -> Result<&'s mut [u8]> {
        let head = self.session.held().len();
        while let Some((start, end)) = self.find().await? {
            self.session.keep(start..end);
        }
        Ok(&mut self.session.held()[head..])
    }

    async fn find(&mut self) -> Result<Option<(usize, usize)>> {
        if self.session.codec().response_is_over() {
            return Ok(None);
        }
        match self.session.find().await? {
            Some(Found::Piece(start, end)) => Ok(Some((start as usize, end as usize))),
            Some(_) => Ok(None),
            None => Err(Error::new(Code::ReceiveFailed).blame(Fault::Peer)),
        }
    }
}
