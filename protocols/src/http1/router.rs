//! Which handler answers: a flat table of routes, written by [`routes!`](crate::routes).

use core::fmt;
use core::future::poll_fn;

use netloom_core::{Outbox, Result};

use super::method::Method;
use super::reply::{Sent, poll_bare};
use super::request::Request;
use super::to_fields::{FieldWriter, ToFields};

/// The methods that a path has routes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow(u16);

impl Allow {
    /// None yet.
    pub const NONE: Self = Self(0);

    /// That one too; HEAD and OPTIONS with it (RFC 9110, 9.3.2 and 9.3.7).
    pub fn add(&mut self, method: Method) {
        self.0 |= 1 << method as u8 | 1 << Method::Options as u8;
        if method == Method::Get {
            self.0 |= 1 << Method::Head as u8;
        }
    }

    fn methods(self) -> impl Iterator<Item = Method> {
        Method::NAMED.into_iter().filter(move |method| self.0 & 1 << *method as u8 != 0)
    }

    /// Whether a route for `method` answers what was `asked`, which it notes.
    #[doc(hidden)]
    pub fn answers(&mut self, method: Method, asked: Method) -> bool {
        self.add(method);
        asked == method || (method == Method::Get && asked == Method::Head)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The value of `Allow` (RFC 9110, 10.2.1).
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for method in self.methods() {
            f.write_str(comma)?;
            f.write_str(method.as_str())?;
            comma = ", ";
        }
        Ok(())
    }
}

impl ToFields for Allow {
    fn put(&self, out: &mut FieldWriter<'_, '_>) -> Result<()> {
        // Not by formatting, which a board may do without.
        let (mut value, mut len) = ([0; 64], 0);
        let mut list = Outbox::new(&mut value, &mut len);
        for method in self.methods() {
            list.put(if list.room() == 64 { b"" } else { b", " })?;
            list.put(method.as_str().as_bytes())?;
        }
        out.field("allow", &value[..len])
    }
}

impl Request<'_> {
    /// What no route answers: OPTIONS gets the methods that one would, another method 405 with them, an unknown method
    /// 501, and a path without routes 404.
    #[doc(hidden)]
    pub async fn unrouted(mut self, allow: Allow) -> Result<Sent> {
        let method = self.asked().1;
        let (status, allow) = match method {
            Method::Options if self.head().is_for_server() => (204, None),
            Method::Options if !allow.is_empty() => (204, Some(allow)),
            Method::Other => (501, None),
            _ if !allow.is_empty() => (405, Some(allow)),
            _ => (404, None),
        };
        let fields = self.and(allow);
        poll_fn(|cx| poll_bare(self.link().parts().outlet, status, &fields, cx)).await
    }
}

/// Whether `path` is of `pattern`, byte by byte: most routes differ in the first ones.
#[doc(hidden)]
#[inline]
pub fn matches<const LITERAL: bool>(pattern: &str, path: &[u8]) -> bool {
    if LITERAL { pattern.as_bytes() == path } else { matches_pattern(pattern, path) }
}

/// Whether a pattern has no parameters.
///
/// # Panics
/// While compiling, where no path or none that is meant would match.
#[doc(hidden)]
pub const fn is_literal(pattern: &str) -> bool {
    let pattern = pattern.as_bytes();
    assert!(matches!(pattern, [b'/', ..] | b"*"), "a route's path begins with a slash: \"/users\"");
    let (mut n, mut is_literal) = (0, true);
    while n < pattern.len() {
        match pattern[n] {
            b':' | b'*' if n > 0 && pattern[n - 1] == b'/' => {
                panic!("a part of a route's path that varies is {{id}}, or {{*rest}}")
            }
            b'{' => {
                let is_rest = n + 1 < pattern.len() && pattern[n + 1] == b'*';
                let name = n + 1 + is_rest as usize;
                n = name;
                while n < pattern.len() && !matches!(pattern[n], b'}' | b'{' | b'/') {
                    n += 1;
                }
                assert!(
                    n > name && n < pattern.len() && pattern[n] == b'}',
                    "a route's {{name}} has a name and ends"
                );
                assert!(n + 1 == pattern.len() || !is_rest, "a route's {{*rest}} is its end");
                assert!(
                    n + 1 == pattern.len() || pattern[n + 1] == b'/',
                    "a route's {{name}} goes to the end of its segment"
                );
                is_literal = false;
            }
            _ => {}
        }
        n += 1;
    }
    is_literal
}

/// The path that an application is mounted at.
///
/// # Panics
/// While compiling, as [`is_literal`].
#[doc(hidden)]
pub const fn mount(path: &str) -> &str {
    assert!(path.is_empty() || is_literal(path), "what is mounted has no {{name}} in its path");
    assert!(
        !matches!(path.as_bytes(), [.., b'/']),
        "what is mounted is behind a path without a slash at its end: \"/files\""
    );
    path
}

fn matches_pattern(pattern: &str, mut path: &[u8]) -> bool {
    let mut pattern = pattern.as_bytes();
    loop {
        match (pattern, path) {
            ([], []) => return true,
            ([b'{', b'*', ..], _) => return true,
            ([b'{', ..], _) => {
                let end = segment(path);
                if end == 0 {
                    return false;
                }
                (pattern, path) = (&pattern[segment(pattern)..], &path[end..]);
            }
            ([a, pattern_rest @ ..], [b, path_rest @ ..]) if a == b => {
                (pattern, path) = (pattern_rest, path_rest);
            }
            _ => return false,
        }
    }
}

/// Whether `path` begins with `prefix`, up to its end or a slash.
#[doc(hidden)]
pub fn is_below(prefix: &str, path: &[u8]) -> bool {
    path.strip_prefix(prefix.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

/// The part of `path` that `pattern`, which matches it, calls `name`.
pub(super) fn param<'a>(pattern: &str, path: &'a str, name: &str) -> Option<&'a str> {
    let (mut pattern, mut at) = (pattern.as_bytes(), 0);
    loop {
        let brace = pattern.iter().position(|byte| *byte == b'{')?;
        at += brace;
        let (_, rest) = pattern.split_at_checked(brace + 1)?;
        let (found, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'}')?)?;
        if let Some(found) = found.strip_prefix(b"*") {
            return path.get(at..).filter(|_| found == name.as_bytes());
        }
        let end = at + segment(path.as_bytes().get(at..)?);
        if found == name.as_bytes() {
            return path.get(at..end);
        }
        (pattern, at) = (rest.get(1..)?, end);
    }
}

fn segment(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'/').unwrap_or(bytes.len())
}

/// An application that answers requests by the first route that matches.
///
/// | route | matches |
/// |---|---|
/// | `GET "/users" => list` | that path; `HEAD` too, without the body |
/// | `GET "/users/{id}" => user` | any one segment there, which is not empty: [`Head::param`](crate::http1::Head::param) |
/// | `GET "/files/{*path}" => file` | any rest |
/// | `ANY "/hook" => hook` | any method |
/// | `"/api" => { GET "/users" => list }` | the routes inside, behind the prefix |
/// | `MOUNT "/admin" => admin` | everything behind the prefix, for an application that has routes of its own |
/// | `_ => fallback` | what nothing before matches; must be last |
///
/// `OPTIONS` is answered with the methods that a path has routes for; another method gets 405, an unknown path 404.
/// A handler is an expression: a function, or an async closure. What it names of its surroundings is moved into the
/// application. A path that cannot be meant, as `/users/:id`, does not compile.
///
/// ```
/// use netloom_core::Result;
/// use netloom_protocols::{http1::{Request, Sent}, routes};
///
/// async fn user(request: Request<'_>) -> Result<Sent> {
///     let (head, reply) = request.split();
///     let id: u32 = head.param("id")?;
///     reply.format(format_args!("user {id}")).await
/// }
///
/// let greeting = "hello";
/// let app = routes! {
///     GET "/" => async |request: Request<'_>| request.reply().text(greeting).await,
///     "/api" => {
///         GET "/users/{id}" => user,
///     },
/// };
/// # fn is_an_app(_: &impl AsyncFn(Request<'_>) -> Result<Sent>) {}
/// # is_an_app(&app);
/// ```
///
/// The routes are one flat `if` after another, so the future is as large as that of the largest handler.
#[macro_export]
macro_rules! routes {
    ($($routes:tt)*) => {
        async move |request: $crate::http1::Request<'_>| {
            // In a block: what was lent once keeps its room in the future until it goes out of scope.
            let (request, allow, route) = {
                let mut request = request;
                #[allow(unused_mut)]
                let mut allow = $crate::http1::Allow::NONE;
                #[allow(unused_variables)]
                let (path, method) = request.asked();
                let route: u32 = $crate::__choose! { path method allow (1) () $($routes)* };
                (request, allow, route)
            };
            $crate::__routes! { request route (1) () $($routes)* }
            #[allow(unreachable_code)]
            request.unrouted(allow).await
        }
    };
}

/// The number of the route that matches, from one on; 0 for none.
#[doc(hidden)]
#[macro_export]
macro_rules! __choose {
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*)) => { 0 };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) , $($rest:tt)*) => {
        $crate::__choose! { $path $asked $allow ($($n)*) ($($prefix)*) $($rest)* }
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) @end ($($outer:literal)*) $($rest:tt)*) => {
        $crate::__choose! { $path $asked $allow ($($n)*) ($($outer)*) $($rest)* }
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) () _ => $handler:expr $(,)?) => {
        if $allow.is_empty() { $($n)* } else { 0 }
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) _ => $($rest:tt)*) => {
        compile_error!("_ answers what no route before it matches: it comes last, and outside of prefixes")
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) MOUNT $pattern:literal => $handler:expr $(, $($rest:tt)*)?) => {
        if {
            const AT: &str = $crate::http1::mount(concat!($($prefix,)* $pattern));
            $crate::http1::is_below(AT, $path)
        } {
            $($n)*
        } else {
            $crate::__choose! { $path $asked $allow ($($n)* + 1) ($($prefix)*) $($($rest)*)? }
        }
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) ANY $pattern:literal => $handler:expr $(, $($rest:tt)*)?) => {
        if $crate::http1::matches::<{ $crate::http1::is_literal(concat!($($prefix,)* $pattern)) }>(concat!($($prefix,)* $pattern), $path) {
            $($n)*
        } else {
            $crate::__choose! { $path $asked $allow ($($n)* + 1) ($($prefix)*) $($($rest)*)? }
        }
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) $method:ident $pattern:literal => $handler:expr $(, $($rest:tt)*)?) => {
        if $crate::http1::matches::<{ $crate::http1::is_literal(concat!($($prefix,)* $pattern)) }>(concat!($($prefix,)* $pattern), $path)
            && $allow.answers($crate::__method!($method), $asked)
        {
            $($n)*
        } else {
            $crate::__choose! { $path $asked $allow ($($n)* + 1) ($($prefix)*) $($($rest)*)? }
        }
    };
    ($path:ident $asked:ident $allow:ident ($($n:tt)*) ($($prefix:literal)*) $inner:literal => { $($routes:tt)* } $(, $($rest:tt)*)?) => {
        $crate::__choose! { $path $asked $allow ($($n)*) ($($prefix)* $inner) $($routes)* , @end ($($prefix)*) $($($rest)*)? }
    };
}

/// Has the handler of the route of that number answer.
#[doc(hidden)]
#[macro_export]
macro_rules! __routes {
    ($request:ident $route:ident ($($n:tt)*) ($($prefix:literal)*)) => {};
    ($request:ident $route:ident ($($n:tt)*) ($($prefix:literal)*) , $($rest:tt)*) => {
        $crate::__routes! { $request $route ($($n)*) ($($prefix)*) $($rest)* }
    };
    ($request:ident $route:ident ($($n:tt)*) ($($prefix:literal)*) @end ($($outer:literal)*) $($rest:tt)*) => {
        $crate::__routes! { $request $route ($($n)*) ($($outer)*) $($rest)* }
    };
    ($request:ident $route:ident ($($n:tt)*) () _ => $handler:expr $(,)?) => {
        if $route == $($n)* {
            return ($handler)($request).await;
        }
    };
    ($request:ident $route:ident ($($n:tt)*) ($($prefix:literal)*) MOUNT $pattern:literal => $handler:expr $(, $($rest:tt)*)?) => {
        if $route == $($n)* {
            return ($handler)($request.mounted(concat!($($prefix,)* $pattern).len())).await;
        }
        $crate::__routes! { $request $route ($($n)* + 1) ($($prefix)*) $($($rest)*)? }
    };
    ($request:ident $route:ident ($($n:tt)*) ($($prefix:literal)*) $method:ident $pattern:literal => $handler:expr $(, $($rest:tt)*)?) => {
        if $route == $($n)* {
            return ($handler)($request.matched(concat!($($prefix,)* $pattern))).await;
        }
        $crate::__routes! { $request $route ($($n)* + 1) ($($prefix)*) $($($rest)*)? }
    };
    ($request:ident $route:ident ($($n:tt)*) ($($prefix:literal)*) $inner:literal => { $($routes:tt)* } $(, $($rest:tt)*)?) => {
        $crate::__routes! { $request $route ($($n)*) ($($prefix)* $inner) $($routes)* , @end ($($prefix)*) $($($rest)*)? }
    };
}

/// The method that a route names.
#[doc(hidden)]
#[macro_export]
macro_rules! __method {
    (GET) => {
        $crate::http1::Method::Get
    };
    (HEAD) => {
        $crate::http1::Method::Head
    };
    (POST) => {
        $crate::http1::Method::Post
    };
    (PUT) => {
        $crate::http1::Method::Put
    };
    (DELETE) => {
        $crate::http1::Method::Delete
    };
    (OPTIONS) => {
        $crate::http1::Method::Options
    };
    (PATCH) => {
        $crate::http1::Method::Patch
    };
    (TRACE) => {
        $crate::http1::Method::Trace
    };
    ($other:ident) => {
        compile_error!(concat!(
            "a route begins with GET, POST or another method of HTTP in capitals, ANY, MOUNT or _, not ",
            stringify!($other)
        ))
    };
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        for (pattern, path, is) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a/", false),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/a/", false),
            ("/a/{x}", "/a/b/c", false),
            ("/a/{x}/c", "/a/b/c", true),
            ("/a/{*rest}", "/a/", true),
            ("/a/{*rest}", "/a/b/c", true),
            ("/a/{*rest}", "/b", false),
            ("*", "*", true),
            ("/{a}{b", "/x", true),
        ] {
            assert_eq!(matches::<false>(pattern, path.as_bytes()), is, "{pattern} {path}");
        }
    }

    #[test]
    fn a_route_that_no_path_could_match_is_refused() {
        for pattern in [
            "",
            "users",
            "/users/:id",
            "/files/*path",
            "/{id",
            "/{}",
            "/{*}",
            "/{a/b}",
            "/{id}.json",
            "/{*rest}/a",
        ] {
            assert!(std::panic::catch_unwind(|| is_literal(pattern)).is_err(), "{pattern}");
        }
        for path in ["admin", "/admin/", "/", "/{id}"] {
            assert!(std::panic::catch_unwind(|| mount(path).len()).is_err(), "{path}");
        }
        for (pattern, is) in [
            ("/", true),
            ("*", true),
            ("/a:b*", true),
            ("/a/{x}/c", false),
            ("/a-{x}", false),
            ("/{*rest}", false),
        ] {
            assert_eq!(is_literal(pattern), is, "{pattern}");
        }
        assert_eq!((mount("/admin"), mount("")), ("/admin", ""));
    }

    #[test]
    fn parameters_are_found_by_name() {
        let pattern = "/a/{x}/{y}/{*rest}";
        let path = "/a/1/two/3/4";
        for (name, value) in [("x", Some("1")), ("y", Some("two")), ("rest", Some("3/4")), ("z", None)] {
            assert_eq!(param(pattern, path, name), value, "{name}");
        }
        assert_eq!(param("/a", "/a", "x"), None);
    }

    #[test]
    fn allow_names_what_goes_with_it() {
        let mut allow = Allow::NONE;
        assert!(allow.is_empty());
        allow.add(Method::Get);
        allow.add(Method::Patch);
        assert_eq!(allow.to_string(), "GET, HEAD, OPTIONS, PATCH");
    }
}
