//! Server-sent events (HTML Living Standard, 9.2).

use netloom_core::{Code, Duration, Error, Fault, Result};

use super::reply::{Sent, Stream};

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
        let stream = &mut self.0;
        if let Some(retry) = event.retry {
            stream
                .format(format_args!(
                    "retry: {}\n",
                    retry.as_secs() * 1000 + u64::from(retry.subsec_millis())
                ))
                .await?;
        }
        for (name, value) in [("event: ", event.name), ("id: ", event.id)] {
            if !value.is_empty() {
                line(stream, name, value).await?;
            }
        }
        let mut rest = event.data;
        loop {
            let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
            line(stream, "data: ", &rest[..end]).await?;
            rest = &rest[end..];
            rest = match rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\r', '\n'])) {
                Some(rest) => rest,
                None => break,
            };
        }
        stream.send(b"\n").await?;
        stream.flush().await
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
        let n = serde_json_core::to_slice(value, &mut text).map_err(|_| Code::MessageTooLarge)?;
        self.data(core::str::from_utf8(&text[..n]).map_err(|_| Code::InvalidText)?).await
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

async fn line(stream: &mut Stream<'_>, name: &str, value: &str) -> Result<()> {
    for part in [name, value, "\n"] {
        stream.send(part.as_bytes()).await?;
    }
    Ok(())
}
