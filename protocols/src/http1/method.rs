//! Request methods.

use super::octets;

/// What a request asks for: RFC 9110, 9.3, and PATCH of RFC 5789. Methods are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Transfer what the target stands for.
    Get,
    /// As GET, without the content.
    Head,
    /// Let the resource process the content.
    Post,
    /// Replace what the target stands for.
    Put,
    /// Remove what the target stands for.
    Delete,
    /// Make a tunnel to the target.
    Connect,
    /// Say what the target can do.
    Options,
    /// Send the request back.
    Trace,
    /// Change a part of what the target stands for.
    Patch,
    /// Any other token; its text is in the request line.
    Other,
}

impl Method {
    /// Those that have a name here.
    pub(super) const NAMED: [Self; 9] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Connect,
        Self::Options,
        Self::Trace,
        Self::Patch,
    ];

    /// The method with that name, [`Other`](Self::Other) for a token that is none of ours, `None` for what
    /// is not a token.
    ///
    /// ```
    /// use netloom_protocols::http1::Method;
    ///
    /// assert_eq!(Method::from_bytes(b"GET"), Some(Method::Get));
    /// assert_eq!(Method::from_bytes(b"get"), Some(Method::Other));
    /// assert_eq!(Method::from_bytes(b"G T"), None);
    /// ```
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        (!name.is_empty() && octets::token(name) == name.len()).then(|| Self::of_token(name))
    }

    /// The method that a token names.
    #[inline]
    pub(super) fn of_token(token: &[u8]) -> Self {
        if cfg!(target_pointer_width = "32") {
            // As fast as a board must be, and half as large.
            let named = Self::NAMED.into_iter().find(|method| method.as_str().as_bytes() == token);
            return named.unwrap_or(Self::Other);
        }
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// The name as it stands in a request line; empty for [`Other`](Self::Other).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "",
        }
    }

    /// Whether the request only reads. RFC 9110, 9.2.1.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Whether the request may be sent again when nobody knows what became of it. RFC 9110, 9.2.2.
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    const NAMED: [Method; 9] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
    ];

    #[test]
    fn a_method_is_found_by_its_own_name_only() {
        for method in NAMED {
            let name = method.as_str();
            assert_eq!(Method::from_bytes(name.as_bytes()), Some(method));
            assert_eq!(Method::from_bytes(&name.as_bytes()[1..]), Some(Method::Other));
        }
        assert_eq!(Method::from_bytes(b"post"), Some(Method::Other));
        assert_eq!(Method::from_bytes(b"M-SEARCH"), Some(Method::Other));
        for name in [&b""[..], b"GET ", b"G\xc3T", b"GET/"] {
            assert_eq!(Method::from_bytes(name), None);
        }
    }

    #[test]
    fn safe_methods_are_idempotent_and_post_and_patch_are_neither() {
        for method in NAMED {
            assert!(!method.is_safe() || method.is_idempotent());
        }
        for (method, safe, idempotent) in [
            (Method::Get, true, true),
            (Method::Put, false, true),
            (Method::Delete, false, true),
            (Method::Post, false, false),
            (Method::Patch, false, false),
            (Method::Connect, false, false),
            (Method::Other, false, false),
        ] {
            assert_eq!((method.is_safe(), method.is_idempotent()), (safe, idempotent), "{method:?}");
        }
    }
}
