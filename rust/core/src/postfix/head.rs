//! Which daemon of Postfix wrote a line, on which host, for which message.

use crate::literals::Held;
use crate::span::Span;

/// A message by the host and queue id of a line; empty where the line names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) host: Span,
    pub(super) id: Span,
}

impl Key {
    /// Host, blank, queue id.
    pub(super) fn of(self, line: &[u8]) -> Vec<u8> {
        if self.id.is_empty() {
            return Vec::new();
        }
        let mut key = Vec::with_capacity(32);
        key.extend_from_slice(self.host.of(line));
        key.push(b' ');
        key.extend_from_slice(self.id.of(line));
        key
    }
}

/// Host and queue id in front of a text of this daemon's at `at`; `None` where the line is not its.
pub(super) fn key(line: &[u8], at: usize, held: &Held, daemon: &[u8]) -> Option<Key> {
    let colon = held.colon - held.start;
    if colon == at - 2 {
        return rfc5424(line, colon);
    }
    // `postfix/smtpd`, `postfix/submission/smtpd`, `out/smtpd`: syslog_name and the daemon's name.
    let tag = tag(&line[..colon])?;
    if !tag.ends_with(daemon) {
        return None;
    }
    let message = &line[colon + 2..at - 2];
    let name = memchr::memrchr(b' ', message).map_or(0, |blank| blank + 1);
    // What Solaris puts in front of a message.
    let near = &message[..name];
    let is_near = near.is_empty() || (near.starts_with(b"[ID ") && near.ends_with(b"] "));
    if !is_near || !is_name(&message[name..]) {
        return None;
    }
    let ends = memchr::memrchr(b' ', tag)?;
    let host = memchr::memrchr(b' ', &tag[..ends]).map_or(0, |blank| blank + 1);
    Some(Key { host: Span::new(host, ends), id: Span::new(colon + 2 + name, at - 2) })
}

/// The same in RFC 5424, whose writers end the name of the program at a slash.
fn rfc5424(line: &[u8], colon: usize) -> Option<Key> {
    let head = &line[..colon];
    let mut words = head.split(|&byte| byte == b' ');
    let begins: [&[u8]; 6] = std::array::from_fn(|_| words.next().unwrap_or_default());
    let [first, _, host, program, pid, _] = begins;
    let is_postfix = program.split(|&byte| byte == b'/').next() == Some(b"postfix");
    if !first.starts_with(b"<") || !is_postfix || pid.is_empty() || !pid.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let starts = begins.iter().map(|word| word.len() + 1).sum::<usize>();
    let name = starts + memchr::memrchr(b' ', head.get(starts..)?)?;
    // rsyslog's usual templates put a second blank before the message.
    let data = &head[starts..name];
    let data = data.strip_suffix(b" ").unwrap_or(data);
    if !is_name(&head[name + 1..]) {
        return None;
    }
    // One word `-`, or words from `[` to `]`.
    if data != b"-" && !(data.starts_with(b"[") && data.ends_with(b"]")) {
        return None;
    }
    let at = first.len() + begins[1].len() + 2;
    Some(Key { host: Span::new(at, at + host.len()), id: Span::new(name + 1, colon) })
}

/// Whether a line that begins so may be of one of the two daemons: few are, so this comes before anything else.
pub(super) fn may_be(head: &[u8]) -> bool {
    head.starts_with(b"<") || tag(head).is_some_and(|tag| tag.ends_with(b"/smtpd") || tag.ends_with(b"/smtp"))
}

/// What is before the `[pid]` that ends a head.
pub(super) fn tag(head: &[u8]) -> Option<&[u8]> {
    let pid = head.strip_suffix(b"]")?;
    Some(&pid[..memchr::memrchr(b'[', pid)?])
}

pub(super) fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric)
}
