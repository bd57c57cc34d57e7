//! A ClientHello's extensions, changed.

/// `hello` with what `change` makes of each extension, its type and its content: `None` leaves it out.
pub(crate) fn with_extensions(
    hello: &[u8],
    mut change: impl FnMut(u16, &[u8]) -> Option<(u16, Vec<u8>)>,
) -> Vec<u8> {
    // RFC 8446, 4.1.2: type, length; version, random; then three vectors before the extensions.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + usize::from(u16_at(hello, at));
    at += 1 + usize::from(hello[at]);
    let mut extensions = Vec::new();
    let mut rest = &hello[at + 2..];
    while !rest.is_empty() {
        let (kind, len) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        if let Some((kind, content)) = change(kind, &rest[4..4 + len]) {
            extensions.extend(kind.to_be_bytes());
            extensions.extend((content.len() as u16).to_be_bytes());
            extensions.extend(content);
        }
        rest = &rest[4 + len..];
    }
    let mut changed = hello[..at].to_vec();
    changed.extend((extensions.len() as u16).to_be_bytes());
    changed.extend(extensions);
    let len = (changed.len() - 4) as u32;
    changed[..4].copy_from_slice(&(u32::from(hello[0]) << 24 | len).to_be_bytes());
    changed
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
