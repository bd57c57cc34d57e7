//! A name for each request, so that an answer, the log's line about it and other services' logs can be put together.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use netloom_core::Result;

use super::{FieldWriter, Head, Request, Sent, ToFields};

const NAME: &str = "x-request-id";

/// Longest name that is taken over from a client.
const LEN_MAX: usize = 64;

const RANDOM: usize = 16;
const OURS: usize = RANDOM + 12;

/// Whether the name that a request brings is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustId {
    /// A name is made for every request: clients are strangers.
    No,
    /// A name is taken over if it is at most 64 letters, digits and `-_.:=+/`: a proxy in front chooses it.
    Yes,
}

/// A request's name. Its copies are cheap, and stay on their worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Name);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// In hexadecimal: 16 digits that are random in this worker, and a number. No secret: the next one can be guessed.
    Ours([u8; OURS]),
    Theirs(Rc<str>),
}

tokio::task_local! {
    static CURRENT: RequestId;
}

thread_local! {
    static NEXT: Cell<(u64, u64)> = Cell::new((RandomState::new().hash_one(0), 0));
}

/// Gives each request a name: the field `X-Request-Id` in every answer, also in those that errors become, and
/// [`RequestId::current`] for everything inside: handlers, and [`log`](super::log()).
pub fn request_id(
    trust: TrustId,
    app: impl AsyncFn(Request<'_>) -> Result<Sent> + Clone,
) -> impl AsyncFn(Request<'_>) -> Result<Sent> + Clone {
    async move |mut request: Request<'_>| {
        let id = RequestId::of(request.head(), trust);
        let fields = request.and(&id);
        match CURRENT.scope(id.clone(), app(request.with(&fields))).await {
            Err(error) => request.with(&fields).refuse(error).await,
            sent => sent,
        }
    }
}

impl RequestId {
    /// The name of the request that is being answered; `None` outside of [`request_id`], and in a task that a handler
    /// has spawned.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    fn of(head: Head<'_>, trust: TrustId) -> Self {
        let theirs = match trust {
            TrustId::Yes => head.field(NAME).filter(|name| is_sane(name)),
            TrustId::No => None,
        };
        Self(theirs.map_or_else(ours, |name| Name::Theirs(name.into())))
    }
}

fn ours() -> Name {
    let (random, number) = NEXT.get();
    NEXT.set((random, number.wrapping_add(1)));
    let mut name = [0; OURS];
    let (first, last) = name.split_at_mut(RANDOM);
    put_hex(random, first);
    put_hex(number, last);
    Name::Ours(name)
}

/// The last digits, as many as there is room for. (By `fmt` it is four times as much work.)
fn put_hex(mut number: u64, room: &mut [u8]) {
    for digit in room.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// Nothing that a log, a shell or a page could take for something else.
fn is_sane(name: &str) -> bool {
    (1..=LEN_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte))
}

impl RequestId {
    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Ours(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            Name::Theirs(name) => name,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ToFields for RequestId {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        out.field(NAME, self.as_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_short_names_are_taken_over() {
        for name in ["a", "7f-00_9.x:=+/", &"x".repeat(64)] {
            assert!(is_sane(name), "{name}");
        }
        for name in ["", "a b", "a\"", "<b>", "a;b", "a\tb", "bär", "$(x)", &"x".repeat(65)] {
            assert!(!is_sane(name), "{name}");
        }
    }

    #[test]
    fn no_two_requests_of_any_workers_have_one_name() {
        let names = || (0..100).map(|_| RequestId(ours()).to_string()).collect::<Vec<_>>();
        let mut all = names();
        all.extend(std::thread::spawn(names).join().expect("it ends"));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
