//! The envelope of one line: stamp, host, tag, and where the message starts (docs/MATCHING.md, 2).
//!
//! This is the grammar, byte for byte; `scan` takes a short way for lines shaped like the one before them and comes
//! here for all others. Every repetition below has one way to match, so nothing backtracks.

use crate::stamp::Stamp;

/// A piece of a line. A line has at most `MAX_LINE` = 16,384 bytes, so 16 bits name any piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    /// The piece `start..end`.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u16,
            len: (end - start) as u16,
        }
    }

    /// The bytes of this piece of `line`.
    pub(crate) fn of(self, line: &[u8]) -> &[u8] {
        &line[usize::from(self.start)..][..usize::from(self.len)]
    }
}

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// `None` for RFC 5424's `-`.
    pub(crate) stamp: Option<Stamp>,
    /// Empty where the layout has none.
    pub(crate) host: Span,
    /// `None` for RFC 5424's `-` and in a format's own layout.
    pub(crate) tag: Option<Span>,
    pub(crate) message: usize,
}

/// The envelope of a line in the syslog layout.
pub(crate) fn syslog(line: &[u8]) -> Option<Envelope> {
    let after_pri = pri(line);
    if after_pri > 0 && line[after_pri..].starts_with(b"1 ") {
        return rfc5424(line, after_pri + 2);
    }
    let stamp = Stamp::find(line, after_pri)?;
    let rest = blanks(line, stamp.end)?;
    let rest = facility_in_angles(line, rest).unwrap_or(rest);
    tagged(line, stamp, rest)
}

/// What follows the stamp in the second syslog layout: `TAG message`, else `HOST TAG message`.
pub(crate) fn tagged(line: &[u8], stamp: Stamp, rest: usize) -> Option<Envelope> {
    let (host, (tag, message)) = match tag(line, rest).or_else(|| bracketed_tag(line, rest)) {
        Some(found) => (Span::default(), found),
        None => {
            let end = word(line, rest)?;
            if line[end - 1] == b':' {
                return None;
            }
            (
                Span::new(rest, end),
                tag_after_host(line, blanks(line, end)?)?,
            )
        }
    };
    Some(Envelope {
        stamp: Some(stamp),
        host,
        tag: Some(tag),
        message: after_solaris_id(line, message),
    })
}

/// `(?:FAC )? TAG`, as it stands after a host.
pub(crate) fn tag_after_host(line: &[u8], at: usize) -> Option<(Span, usize)> {
    let at = facility(line, at)
        .filter(|&end| line.get(end) == Some(&b' '))
        .map_or(at, |end| end + 1);
    tag(line, at)
}

/// The envelope of a line in a format's own layout.
pub(crate) fn own(line: &[u8], prefixes: &[Box<[u8]>]) -> Option<Envelope> {
    let starts = prefixes
        .iter()
        .filter(|prefix| line.starts_with(prefix))
        .map(|prefix| prefix.len());
    let stamp = starts.chain([0]).find_map(|start| {
        let stamp = Stamp::find(line, start)?;
        blanks(line, stamp.end).map(|_| stamp)
    })?;
    let message = blanks(line, stamp.end)?;
    Some(Envelope {
        stamp: Some(stamp),
        host: Span::default(),
        tag: None,
        message,
    })
}

/// What follows `PRI1 `.
fn rfc5424(line: &[u8], at: usize) -> Option<Envelope> {
    let (stamp, end) = if line[at..].starts_with(b"- ") {
        (None, at + 1)
    } else {
        let stamp = Stamp::find(line, at).filter(Stamp::has_t)?;
        (Some(stamp), stamp.end)
    };
    let host = end + 1;
    let app = one_blank(line, end)
        .and_then(|at| word(line, at))
        .and_then(|end| one_blank(line, end))?;
    let procid = word(line, app).and_then(|end| one_blank(line, end))?;
    let msgid = word(line, procid).and_then(|end| one_blank(line, end))?;
    let data = word(line, msgid).and_then(|end| one_blank(line, end))?;
    let mut message = structured_data(line, data)?;
    if message < line.len() {
        message = one_blank(line, message)?;
        if line[message..].starts_with(b"\xef\xbb\xbf") {
            message += 3;
        }
        if line.get(message) == Some(&b' ') {
            message += 1;
        }
    }
    let tag = Span::new(app, procid - 1);
    Some(Envelope {
        stamp,
        host: Span::new(host, app - 1),
        tag: (tag.of(line) != b"-").then_some(tag),
        message: after_solaris_id(line, message),
    })
}

/// End of `PRI` at the line's start; 0 when there is none.
fn pri(line: &[u8]) -> usize {
    if line.first() != Some(&b'<') {
        return 0;
    }
    let digits = line[1..]
        .iter()
        .take(3)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits > 0 && line.get(1 + digits) == Some(&b'>') {
        digits + 2
    } else {
        0
    }
}

/// First byte after one blank and more.
pub(crate) fn blanks(line: &[u8], at: usize) -> Option<usize> {
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
        let n = line[at..]
            .iter()
            .take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
            .count();
        (n > 0).then_some(at + n)
    };
    let dot = part(at)?;
    if line.get(dot) == Some(&b'.') {
        part(dot + 1)
    } else {
        None
    }
}

/// First byte after `<FAC> `.
fn facility_in_angles(line: &[u8], at: usize) -> Option<usize> {
    if line.get(at) != Some(&b'<') {
        return None;
    }
    let end = facility(line, at + 1)?;
    line[end..].starts_with(b"> ").then_some(end + 2)
}

/// The first form of `TAG`: the tag, and where what follows it starts.
fn tag(line: &[u8], at: usize) -> Option<(Span, usize)> {
    let end = name(line, at)?;
    let mut colon = end;
    if line.get(end) == Some(&b'[') {
        let digits = line[end + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 || line.get(end + 1 + digits) != Some(&b']') {
            return None;
        }
        colon = end + digits + 2;
    }
    if line.get(colon) != Some(&b':') {
        return None;
    }
    Some((Span::new(at, end), blank_or_end(line, colon + 1)?))
}

/// The second form of `TAG`, metalog's.
fn bracketed_tag(line: &[u8], at: usize) -> Option<(Span, usize)> {
    if line.get(at) != Some(&b'[') {
        return None;
    }
    let end = name(line, at + 1)?;
    if line.get(end) != Some(&b']') {
        return None;
    }
    Some((Span::new(at + 1, end), blank_or_end(line, end + 1)?))
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
        let digits = number
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let fac = message + 4 + digits + 1;
        if digits == 0 || line.get(fac - 1) != Some(&b' ') {
            return None;
        }
        let end = facility(line, fac)?;
        line[end..].starts_with(b"] ").then_some(end + 2)
    };
    id().unwrap_or(message)
}
