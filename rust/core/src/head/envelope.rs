//! The envelope of one line: timestamp, host, tag, and where the message starts (docs/MATCHING.md, 2).
//!
//! This is the grammar, byte for byte; `scan` takes a short way for lines shaped like the one before them and comes
//! here for all others. Every repetition below has one way to match, so nothing backtracks.

use crate::span::Span;
use crate::timestamp::Timestamp;

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// `None` for RFC 5424's `-`.
    pub(crate) timestamp: Option<Timestamp>,
    /// Empty where the layout has none.
    pub(crate) host: Span,
    /// `None` for RFC 5424's `-` and in a format's own layout.
    pub(crate) tag: Option<Span>,
    /// Digits; empty where there is none.
    pub(crate) pid: Span,
    pub(crate) message: usize,
    /// First byte after the message: before the line's end where a repeated message is unwrapped.
    pub(crate) end: usize,
}

/// What a line in the syslog layout begins with: everything before the host, or before the tag where there is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// `None` for RFC 5424's `-`.
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) rfc5424: bool,
    pub(crate) end: usize,
}

/// The envelope of a line in the syslog layout.
pub(crate) fn syslog(line: &[u8]) -> Option<Envelope> {
    tail(line, head(line)?)
}

/// The head of a line in the syslog layout.
pub(crate) fn head(line: &[u8]) -> Option<Head> {
    let start = pri(line);
    if start > 0 && line[start..].starts_with(b"1 ") {
        let start = start + 2;
        if line[start..].starts_with(b"- ") {
            return Some(Head { timestamp: None, rfc5424: true, end: start + 2 });
        }
        let timestamp = Timestamp::find(line, start).filter(Timestamp::has_t)?;
        return Some(Head { timestamp: Some(timestamp), rfc5424: true, end: one_blank(line, timestamp.end())? });
    }
    let timestamp = Timestamp::find(line, start)?;
    let end = blanks(line, timestamp.end())?;
    let end = facility_in_angles(line, end).unwrap_or(end);
    Some(Head { timestamp: Some(timestamp), rfc5424: false, end })
}

/// The envelope of a line whose head is known.
pub(crate) fn tail(line: &[u8], head: Head) -> Option<Envelope> {
    if head.rfc5424 {
        let host = word(line, head.end)?;
        return after_host(line, head, Span::new(head.end, host), one_blank(line, host)?);
    }
    if let Some(tag) = tag(line, head.end).or_else(|| bracketed_tag(line, head.end)) {
        return Some(Envelope::new(line, head, Span::default(), &tag));
    }
    let host = word(line, head.end).filter(|&end| line[end - 1] != b':')?;
    after_host(line, head, Span::new(head.end, host), blanks(line, host)?)
}

/// The envelope of a line whose head and host are known and whose next part starts at `at`.
pub(crate) fn after_host(line: &[u8], head: Head, host: Span, at: usize) -> Option<Envelope> {
    if head.rfc5424 {
        return Some(Envelope::new(line, head, host, &app(line, at)?));
    }
    let at = after_facility(line, at);
    let forwarded = if line.get(at) == Some(&b'M') { forwarded_from(line, at) } else { None };
    let (host, at) = forwarded.unwrap_or((host, at));
    Some(Envelope::new(line, head, host, &tag(line, at)?))
}

/// Whether `after_host` may find a tag at `at` although no tag stands there, but what a forwarding syslogd writes.
#[cold]
pub(crate) fn may_be_forwarded(line: &[u8], at: usize) -> bool {
    line[after_facility(line, at)..].starts_with(FORWARDED)
}

/// What AIX, Solaris and HP-UX put before the message of another host.
pub(crate) const FORWARDED: &[u8] = b"Message forwarded from ";

/// The host that a forwarded message comes from, and where its tag starts.
fn forwarded_from(line: &[u8], at: usize) -> Option<(Span, usize)> {
    if !line[at..].starts_with(FORWARDED) {
        return None;
    }
    let start = at + FORWARDED.len();
    let colon = word(line, start)? - 1;
    let next = one_blank(line, colon + 1)?;
    (colon > start && line[colon] == b':').then(|| (Span::new(start, colon), next))
}

/// First byte after `FAC `, or `at` where none stands.
fn after_facility(line: &[u8], at: usize) -> usize {
    facility(line, at).filter(|&end| line.get(end) == Some(&b' ')).map_or(at, |end| end + 1)
}

impl Envelope {
    fn new(line: &[u8], head: Head, host: Span, tagged: &Tagged) -> Self {
        // Few messages begin so, and one byte tells.
        let begins = |message: usize, byte| line.get(message) == Some(&byte);
        let mut message = tagged.message;
        if begins(message, b'[') {
            message = after_solaris_id(line, message);
        }
        let inner = if begins(message, b'm') { repeated(line, message) } else { None };
        let (message, end) = inner.unwrap_or((message, line.len()));
        let tag = (!head.rfc5424 || tagged.tag.of(line) != b"-").then_some(tagged.tag);
        Self { timestamp: head.timestamp, host, tag, pid: tagged.pid, message, end }
    }
}

/// A tag, its pid (empty where it has none), and where what follows starts.
struct Tagged {
    tag: Span,
    pid: Span,
    message: usize,
}

/// The envelope of a line in a format's own layout.
pub(crate) fn own(line: &[u8], prefixes: &[Box<[u8]>]) -> Option<Envelope> {
    let starts = prefixes.iter().filter(|prefix| line.starts_with(prefix)).map(|prefix| prefix.len());
    let start = starts.chain([0]).find(|&start| own_at(line, start).is_some())?;
    let (timestamp, message) = (Timestamp::find(line, start)?, own_at(line, start)?);
    let (host, pid) = (Span::default(), Span::default());
    Some(Envelope { timestamp: Some(timestamp), host, tag: None, pid, message, end: line.len() })
}

/// Where the message starts behind a timestamp of a format's own log at `at`.
pub(crate) fn own_at(line: &[u8], at: usize) -> Option<usize> {
    blanks(line, Timestamp::find(line, at)?.end())
}

/// RFC 5424 from the app on: the app is the tag.
fn app(line: &[u8], at: usize) -> Option<Tagged> {
    let end = word(line, at)?;
    let procid = one_blank(line, end)?;
    let procid = Span::new(procid, word(line, procid)?);
    let msgid = word(line, one_blank(line, procid.end())?)?;
    let mut message = structured_data(line, one_blank(line, msgid)?)?;
    if message < line.len() {
        message = one_blank(line, message)?;
        if line[message..].starts_with(b"\xef\xbb\xbf") {
            message += 3;
        }
        if line.get(message) == Some(&b' ') {
            message += 1;
        }
    }
    let pid = if procid.of(line).iter().all(u8::is_ascii_digit) { procid } else { Span::default() };
    Some(Tagged { tag: Span::new(at, end), pid, message })
}

/// End of `PRI` at the line's start; 0 when there is none.
fn pri(line: &[u8]) -> usize {
    if line.first() != Some(&b'<') {
        return 0;
    }
    let digits = line[1..].iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 && line.get(1 + digits) == Some(&b'>') { digits + 2 } else { 0 }
}

/// First byte after one blank and more.
fn blanks(line: &[u8], at: usize) -> Option<usize> {
    let n = line[at..].iter().take_while(|&&byte| byte == b' ').count();
    (n > 0).then_some(at + n)
}

fn one_blank(line: &[u8], at: usize) -> Option<usize> {
    (line.get(at) == Some(&b' ')).then_some(at + 1)
}

/// End of `WORD` at `at`.
fn word(line: &[u8], at: usize) -> Option<usize> {
    let n = memchr::memchr(b' ', &line[at..]).unwrap_or(line.len() - at);
    (n > 0).then_some(at + n)
}

/// End of `FAC` at `at`.
fn facility(line: &[u8], at: usize) -> Option<usize> {
    let part = |at: usize| {
        let n = line[at..].iter().take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')).count();
        (n > 0).then_some(at + n)
    };
    let dot = part(at)?;
    if line.get(dot) == Some(&b'.') { part(dot + 1) } else { None }
}

/// First byte after `<FAC> `.
fn facility_in_angles(line: &[u8], at: usize) -> Option<usize> {
    if line.get(at) != Some(&b'<') {
        return None;
    }
    let end = facility(line, at + 1)?;
    line[end..].starts_with(b"> ").then_some(end + 2)
}

/// The first form of `TAG`.
fn tag(line: &[u8], at: usize) -> Option<Tagged> {
    let end = name(line, at)?;
    let (mut colon, mut pid) = (end, Span::default());
    if line.get(end) == Some(&b'[') {
        let digits = line[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || line.get(end + 1 + digits) != Some(&b']') {
            return None;
        }
        (colon, pid) = (end + digits + 2, Span::new(end + 1, end + 1 + digits));
    }
    if line.get(colon) != Some(&b':') {
        return None;
    }
    Some(Tagged { tag: Span::new(at, end), pid, message: blank_or_end(line, colon + 1)? })
}

/// The second form of `TAG`, metalog's.
fn bracketed_tag(line: &[u8], at: usize) -> Option<Tagged> {
    if line.get(at) != Some(&b'[') {
        return None;
    }
    let end = name(line, at + 1)?;
    if line.get(end) != Some(&b']') {
        return None;
    }
    // Courier's own logger writes a colon behind it.
    let behind = end + 1 + usize::from(line.get(end + 1) == Some(&b':'));
    Some(Tagged { tag: Span::new(at + 1, end), pid: Span::default(), message: blank_or_end(line, behind)? })
}

/// End of `NAME` at `at`.
fn name(line: &[u8], at: usize) -> Option<usize> {
    let is_name = |byte: &&u8| **byte > b' ' && !matches!(**byte, b':' | b'[' | b']' | b'<' | b'>');
    let n = line[at..].iter().take_while(is_name).count();
    (n > 0).then_some(at + n)
}

fn blank_or_end(line: &[u8], at: usize) -> Option<usize> {
    match line.get(at) {
        None => Some(at),
        Some(b' ') => Some(at + 1),
        Some(_) => None,
    }
}

/// End of RFC 5424's structured data at `at`.
fn structured_data(line: &[u8], at: usize) -> Option<usize> {
    if line.get(at) == Some(&b'-') {
        return Some(at + 1);
    }
    let mut at = at;
    if line.get(at) != Some(&b'[') {
        return None;
    }
    while line.get(at) == Some(&b'[') {
        at += 1;
        let mut quoted = false;
        loop {
            match (*line.get(at)?, quoted) {
                (b'"', _) => quoted = !quoted,
                (b'\\', true) => {
                    at += 1;
                    line.get(at)?;
                }
                (b']', true) => return None,
                (b']', false) => break,
                _ => {}
            }
            at += 1;
        }
        at += 1;
    }
    Some(at)
}

/// Drops Solaris' `[ID 197553 mail.info] ` once.
fn after_solaris_id(line: &[u8], message: usize) -> usize {
    let id = || {
        let number = line[message..].strip_prefix(b"[ID ")?;
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let fac = message + 4 + digits + 1;
        if digits == 0 || line.get(fac - 1) != Some(&b' ') {
            return None;
        }
        let end = facility(line, fac)?;
        line[end..].starts_with(b"] ").then_some(end + 2)
    };
    id().unwrap_or(message)
}

/// Start and end of the message inside rsyslog's `message repeated 2 times: [ …]`.
fn repeated(line: &[u8], message: usize) -> Option<(usize, usize)> {
    let number = line[message..].strip_prefix(b"message repeated ")?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let inner = number[digits..].strip_prefix(b" times: [").filter(|_| digits > 0)?.strip_suffix(b"]")?;
    let inner = inner.strip_prefix(b" ").unwrap_or(inner);
    Some((line.len() - 1 - inner.len(), line.len() - 1))
}

#[cfg(test)]
mod tests;
