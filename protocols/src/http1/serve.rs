//! One connection: request after request, until one side ends it or it becomes something else.

use core::future::{Future, poll_fn};
use core::task::{Poll, ready};

use netloom_core::{Code, Error, Link, Platform, Result, Session};

use super::reply::{Sent, poll_bare, status_of};
use super::request::{BODY_GRACE, Request, Watch};
use super::server::{DRAIN_MAX, Found, Http1};

/// Answers every request by `app`, until the connection ends.
///
/// An error of `app` becomes an answer of its [status](netloom_core::Error::wire), 500 if it has none, as problem details that say
/// no more than that; the connection lives on if the framing allows. An answer that was begun and not ended closes
/// the connection, so that the client can tell.
///
/// # Errors
/// What ended the session, if it did not end in order.
///
/// ```
/// use netloom_core::{Platform, Result, Session};
/// use netloom_protocols::{http1::{self, Http1, Request, Sent}, routes};
///
/// async fn hello(request: Request<'_>) -> Result<Sent> {
///     request.reply().text("Hello, World!").await
/// }
///
/// async fn connection<P: Platform>(session: &mut Session<P, Http1>) -> Result<()> {
///     http1::serve(session, &routes! { GET "/" => hello }).await
/// }
/// ```
pub async fn serve<P: Platform>(
    session: &mut Session<P, Http1>,
    app: &impl AsyncFn(Request<'_>) -> Result<Sent>,
) -> Result<()> {
    loop {
        if !next_already(session)? && !next(session).await? {
            return Ok(());
        }
        let answered = app(Request::new(session, &mut Watch::new())).await;
        if let Some(error) = unanswered(session, answered) {
            make_good(session, error).await?;
        }
        if !finish(session).await? {
            return Ok(());
        }
    }
}

/// Receives the next request's head, [`Http1::request`], which is held from here on; `false` when the session has ended
/// in order.
///
/// With [`answer`] and [`finish`] it is what [`serve`] does, for who wants to do something in between.
///
/// # Errors
/// What ended the session.
pub fn next<P: Platform>(session: &mut Session<P, Http1>) -> impl Future<Output = Result<bool>> {
    // Not an async fn, which would keep its argument twice.
    poll_fn(move |cx| {
        let found = ready!(session.poll_find(cx))?;
        Poll::Ready(held(session, found))
    })
}

/// [`next`], if it is here already; `false` if it must be waited for, or the session has ended.
///
/// # Errors
/// What ended the session.
pub fn next_already<P: Platform>(session: &mut Session<P, Http1>) -> Result<bool> {
    let found = Link::found_already(session);
    held(session, found)
}

/// Holds the head, if one was found.
#[inline]
fn held<P: Platform>(session: &mut Session<P, Http1>, found: Option<Found>) -> Result<bool> {
    match found {
        Some(Found::Head) => {
            session.hold();
            if session.is_stopping() {
                session.codec().end_after_this();
            }
            Ok(true)
        }
        // `finish` has seen to the rest of a body.
        Some(_) => Err(Code::InvalidSession.into()),
        None => Ok(false),
    }
}

/// Has the request answered by `app`, or by its error.
///
/// # Errors
/// What ended the session, or `app`'s error if its answer cannot be told any more.
pub async fn answer<P: Platform>(
    session: &mut Session<P, Http1>,
    app: &impl AsyncFn(Request<'_>) -> Result<Sent>,
) -> Result<()> {
    let answered = app(Request::new(session, &mut Watch::new())).await;
    match unanswered(session, answered) {
        Some(error) => make_good(session, error).await,
        None => Ok(()),
    }
}

/// Has the request answered by `app`, and those behind it that are here already; whether another may follow, which
/// [`next`] waits for. For hosts that keep no room for answering while they wait, but for `watch`, which one request
/// after another may have.
///
/// # Errors
/// As for [`serve`].
#[expect(clippy::manual_async_fn, reason = "an async fn would keep its arguments twice")]
pub fn answer_at_hand<P: Platform>(
    session: &mut Session<P, Http1>,
    watch: &mut Watch,
    app: &impl AsyncFn(Request<'_>) -> Result<Sent>,
) -> impl Future<Output = Result<bool>> {
    async move {
        loop {
            let answered = app(Request::new(session, watch)).await;
            if let Some(error) = unanswered(session, answered) {
                make_good(session, error).await?;
            }
            let persists = match finish_already(session) {
                Some(persists) => persists,
                None => finish(session).await?,
            };
            if !persists {
                return Ok(false);
            }
            if !next_already(session)? {
                return Ok(true);
            }
        }
    }
}

/// Why the request is not answered, if it is not.
#[inline]
fn unanswered<P: Platform>(session: &mut Session<P, Http1>, answered: Result<Sent>) -> Option<Error> {
    match answered {
        Ok(Sent { .. }) if session.codec().is_answered() => None,
        Ok(_) => Some(Code::InvalidSession.into()),
        Err(error) => Some(error),
    }
}

/// Answers with an error as far as that is still possible.
async fn make_good<P: Platform>(session: &mut Session<P, Http1>, error: Error) -> Result<()> {
    if session.reason().is_some() {
        return Err(error);
    }
    if session.codec().owes() {
        let outlet = Link::outlet(session);
        return poll_fn(|cx| poll_bare(outlet, status_of(error), &(), cx)).await.map(drop);
    }
    // Half an answer is out, or a whole one: only the end of the connection can say so. A status behind a whole one
    // would answer the next request.
    match session.codec().streams() {
        // What it has become has words of its own for what went wrong.
        None if session.codec().is_upgraded() => session.fail(error),
        Some(true) => _ = session.abort(error),
        Some(false) => session.fail(error),
        None => session.sender().close(),
    }
    Err(error)
}

/// [`finish`], if all of the request was received; `None` if there is a rest of its body to be thrown away.
#[cfg_attr(target_pointer_width = "64", inline(always))]
pub fn finish_already<P: Platform>(session: &mut Session<P, Http1>) -> Option<bool> {
    session.let_go();
    let codec = session.codec();
    codec.body_is_over().then(|| codec.persists() && !codec.is_upgraded())
}

/// Lets go of the request that was answered, and throws away what was not received of its body. Whether another may
/// follow.
///
/// # Errors
/// What ended the session.
pub async fn finish<P: Platform>(session: &mut Session<P, Http1>) -> Result<bool> {
    if let Some(persists) = finish_already(session) {
        return Ok(persists);
    }
    let (mut unread, until) = (0, session.now() + BODY_GRACE);
    while session.codec().persists() && !session.codec().body_is_over() {
        if unread > DRAIN_MAX || session.now() > until {
            session.codec().end_after_this();
            break;
        }
        match session.find().await? {
            Some(Found::Piece(span)) => unread += span.range().len() as u64,
            Some(_) => {}
            None => return Ok(false),
        }
    }
    Ok(session.codec().persists())
}
