//! Server-sent events (HTML Living Standard, 9.2).

use netloom_core::{Code, Duration, Error, Fault, Outbox, Result};

use super::reply::{Json, Sent, Stream};
use super::to_fields::put_decimal;
use super::write::Fill;

/// A stream of events. While the handler waits by [`during`](Self::during), a comment goes out whenever the session's
/// keep-alive time has passed, so that nobody between takes the silence for the end.
pub struct Events<'a>(Stream<'a>);

/// One event. Line breaks in `data` are fine; in `name` and `id` they are an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerEvent<'a> {
    /// The event's type; empty for `message`.
    pub name: &'a str,
    /// What a client that reconnects says it has seen last; empty for none.
    pub id: &'a str,
    /// How long a client should wait before it reconnects.
    pub retry: Option<Duration>,
    /// The data.
    pub data: &'a str,
}

impl<'a> Events<'a> {
    pub(super) fn new(stream: Stream<'a>) -> Self {
        Self(stream)
    }

    /// Sends an event, at once.
    ///
    /// # Errors
    /// What ended the session; [`Code::InvalidText`] for a name or an id of several lines.
    pub async fn send(&mut self, event: &ServerEvent<'_>) -> Result<()> {
        if [event.name, event.id]
            .iter()
            .any(|text| text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))
        {
            return Err(Error::new(Code::InvalidText).blame(Fault::Local));
        }
        self.lines(event, event.data.as_bytes()).await
    }

    async fn lines(&mut self, event: &ServerEvent<'_>, data: &[u8]) -> Result<()> {
        let (mut digits, mut len) = ([0; 20], 0);
        if let Some(retry) = event.retry {
            let millis = retry.as_secs() * 1000 + u64::from(retry.subsec_millis());
            put_decimal(millis, &mut Outbox::new(&mut digits, &mut len))?;
        }
        let front: [(&str, &[u8]); 3] =
            [("retry: ", &digits[..len]), ("event: ", event.name.as_bytes()), ("id: ", event.id.as_bytes())];
        let front = front.into_iter().filter(|(_, value)| !value.is_empty());
        // The empty line is the event's end.
        let all = front.chain(lines(data).map(|line| ("data: ", line))).chain([("", &b""[..])]);
        for (name, value) in all {
            for part in [name.as_bytes(), value, b"\n"] {
                self.0.send(part).await?;
            }
        }
        self.0.flush().await
    }

    /// Sends data, at once: an event of no particular type.
    ///
    /// # Errors
    /// What ended the session.
    pub async fn data(&mut self, data: &str) -> Result<()> {
        self.send(&ServerEvent { data, ..ServerEvent::default() }).await
    }

    /// Sends a value as JSON, at once; it must fit 256 bytes.
    ///
    /// # Errors
    /// What ended the session; [`Code::MessageTooLarge`].
    pub async fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let mut text = [0; 256];
        let n = Json(value).fill(&mut text).map_err(|_| Code::MessageTooLarge)?;
        self.lines(&ServerEvent::default(), &text[..n]).await
    }

    /// Lets time pass. `false`, at once, when the session has ended or the host is stopping: then end the stream.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        self.0.pause(duration).await
    }

    /// Awaits what the next event is about.
    pub async fn during<F: Future>(&mut self, future: F) -> F::Output {
        self.0.during(future).await
    }

    /// Ends the stream; the client will come back for more.
    ///
    /// # Errors
    /// What ended the session.
    pub async fn end(self) -> Result<Sent> {
        self.0.end().await
    }
}

/// The lines of a text, however they end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest.take()?;
        let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(text.len());
        let (line, behind) = text.split_at(end);
        rest = behind.strip_prefix(b"\r\n").or(behind.get(1..));
        Some(line)
    })
}
