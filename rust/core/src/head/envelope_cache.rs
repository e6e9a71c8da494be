//! Envelopes of lines whose tag is known, at the pace of a search for newlines.
//!
//! Every line is read the short way when its head has the shape of the one learnt last and its host is plain; what the
//! short way passes over is sure to be of no format, and what it finds has gone through the grammar of `envelope`.

use crate::head::envelope::{self, Envelope, FORWARDED};
use crate::head::shape::{Literal, Shape};
use crate::head::tags::Tags;
use crate::span::Span;

/// Reads the head of one line after the other.
#[derive(Debug)]
pub(crate) struct Heads<'c> {
    tags: &'c Tags,
    shape: Option<Shape>,
    /// The last host that had to be looked at, and the blank after it.
    host: Literal,
}

/// What the short way says.
enum Short {
    /// The grammar has to say.
    Unsure,
    /// No envelope, or a tag of no format.
    Nothing,
    Found(Envelope, u16),
}

impl<'c> Heads<'c> {
    pub(crate) fn new(tags: &'c Tags) -> Self {
        Self { tags, shape: None, host: Literal::default() }
    }

    /// The line's envelope and its tag's target; `None` when it has no envelope or its tag is of no format.
    #[inline]
    pub(crate) fn read(&mut self, line: &[u8]) -> Option<(Envelope, u16)> {
        match self.short(line) {
            Short::Nothing => None,
            Short::Found(envelope, target) => Some((envelope, target)),
            Short::Unsure => self.long(line),
        }
    }

    #[cold]
    fn long(&mut self, line: &[u8]) -> Option<(Envelope, u16)> {
        let head = envelope::head(line)?;
        if let Some(shape) = Shape::of(line, head) {
            self.shape = Some(shape);
            // What is a plain host depends on the kind of head.
            self.host = Literal::default();
        }
        let envelope = envelope::tail(line, head)?;
        let target = self.tags.find(envelope.tag?.of(line))?;
        Some((envelope, target))
    }

    #[inline]
    fn short(&mut self, line: &[u8]) -> Short {
        let Some(shape) = self.shape.as_ref().filter(|shape| shape.fits(line)) else { return Short::Unsure };
        let head = shape.head;
        let rest = &line[head.end..];
        let host_len = if self.host.starts(rest) {
            self.host.len() - 1
        } else {
            let Some(blank) = memchr::memchr(b' ', rest) else { return Short::Unsure };
            if !head.rfc5424 && rest[..blank].last() == Some(&b':') {
                return self.hostless(rest);
            }
            // More blanks, a facility, metalog's brackets, or nothing before the blank.
            if blank == 0 || !head.rfc5424 && matches!(rest[0], b'<' | b'[') {
                return Short::Unsure;
            }
            self.host = Literal::new(&rest[..=blank]);
            blank
        };
        let mut at = head.end + host_len + 1;
        if !head.rfc5424 {
            while line.get(at) == Some(&b' ') {
                at += 1;
            }
        }
        // A tag ends before a `:` or `[` that no tag holds, an app before a blank. A facility before the tag does not
        // matter here: the filter looks at last bytes only.
        let len = if head.rfc5424 { find_byte(&line[at..], b' ', b' ') } else { find_byte(&line[at..], b':', b'[') };
        let Some(len) = len else { return Short::Nothing };
        if !self.tags.may_end(&line[at..at + len]) {
            // Tags are shorter, so nearly all lines leave here.
            let forwarded = len >= FORWARDED.len() && envelope::may_be_forwarded(line, at);
            return if forwarded { Short::Unsure } else { Short::Nothing };
        }
        let host = Span::new(head.end, head.end + host_len);
        let found = envelope::after_host(line, head, host, at).and_then(|envelope| {
            let target = self.tags.find(envelope.tag?.of(line))?;
            Some((envelope, target))
        });
        found.map_or(Short::Nothing, |(envelope, target)| Short::Found(envelope, target))
    }

    /// A first word that ends in `:` is a tag, in brackets or not, or the line has no envelope.
    fn hostless(&self, rest: &[u8]) -> Short {
        if rest[0] == b'[' {
            return Short::Unsure;
        }
        match find_byte(rest, b':', b'[') {
            Some(len) if self.tags.may_end(&rest[..len]) => Short::Unsure,
            _ => Short::Nothing,
        }
    }
}

/// Position of the first byte that is `a` or `b`.
///
/// Tags are short: eight bytes at a time in registers are done before a vectorised search has begun.
#[inline]
fn find_byte(text: &[u8], a: u8, b: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let words = text.chunks_exact(8);
    let rest = words.remainder();
    for (i, word) in words.enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let found = zero_byte(word ^ (u64::from(a) * ONES)) | zero_byte(word ^ (u64::from(b) * ONES));
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|&byte| byte == a || byte == b)?;
    Some(text.len() - rest.len() + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn tags() -> Tags {
        let boxed = |names: &[(&str, u16)]| names.iter().map(|&(name, n)| (name.as_bytes().into(), n)).collect();
        Tags::new(boxed(&[("dovecot", 0), ("imap", 1), ("a.b", 2)]), boxed(&[("imap", 3), ("pop3s", 4)]))
    }

    /// Tags of no format, and what is no tag.
    const OTHERS: [&str; 16] = [
        "postfix/smtpd[9]:",
        "kernel:",
        "dovecot",
        "imap[]:",
        "imap[x]:",
        "[dovecot]",
        "imap[1:",
        "ab:",
        ":",
        "-",
        "postfix 9 - -",
        "- - - -",
        "pop3s:",
        "",
        "dovecot:x",
        "xdovecot[1]:",
    ];

    fn long_way(line: &[u8], tags: &Tags) -> Option<(Envelope, u16)> {
        let envelope = envelope::syslog(line)?;
        Some((envelope, tags.find(envelope.tag?.of(line))?))
    }

    #[test]
    fn the_short_way_and_the_grammar_agree_on_every_line() {
        let tags = tags();
        let mut random = Random::new(5);
        let timestamps = [
            "Mar  4 07:12:09",
            "Mar 14 2026 07:12:09",
            "<22>Mar  4 07:12:09",
            "2026-03-04T07:12:09.123Z",
            "<22>1 2026-03-04T07:12:09Z",
            "<2>1 -",
            "Mar  4 07:12",
            "x",
        ];
        let gaps = [" ", " ", " ", " ", "  ", ""];
        let hosts = [
            "mx",
            "mx",
            "store1.example.org",
            "2001:db8::5",
            "(none)",
            "7",
            "<mail.info> mx",
            "<mail.info>",
            "a:",
            "[mx]",
            "dovecot:",
            "imap[3]:",
            "",
            "<",
            ":",
            "Foo::Bar:",
            "mail.info",
        ];
        let facilities = ["", "", "", "mail.info ", "<mail.info> ", "mail.info  ", "a.b "];
        let forwarded = [
            "",
            "",
            "",
            "",
            "Message forwarded from mx1: ",
            "Message forwarded from 2001:db8::5: ",
            "Message forwarded from [x]: ",
            "Message forwarded from dovecot: ",
            "Message forwarded from a ",
        ];
        let known = [
            "dovecot:",
            "dovecot[12]:",
            "imap[1]:",
            "x/imap:",
            "cyrus/pop3s[77]:",
            "a.b:",
            "dovecot - - -",
            "x/imap 7 - [a b=\"]\"]",
            "pop3s - - [a b=\"\\]\"][c]",
        ];
        let (mut found, mut learnt) = (0, 0);
        let mut heads = Heads::new(&tags);
        for _ in 0..200_000 {
            let tag = if random.below(3) > 0 { *random.pick(&known) } else { *random.pick(&OTHERS) };
            let mut line = [
                random.pick(&timestamps),
                *random.pick(&gaps),
                random.pick(&hosts),
                *random.pick(&gaps),
                random.pick(&facilities),
                random.pick(&forwarded),
                tag,
                random.pick(&[" ", " ", "", "  "]),
                random.pick(&["[ID 7 mail.info] x", "Login: x", "", "\u{feff} y", "message repeated 2 times: [ x]"]),
            ]
            .concat()
            .into_bytes();
            if random.below(8) == 0 && !line.is_empty() {
                let at = random.below(line.len());
                line[at] = *random.pick(b" :[]<>/0-\x00\xffT");
            }
            let want = long_way(&line, &tags);
            if random.below(3) == 0 {
                // So that the shape of this very line is often the one that was learnt.
                heads.long(&line);
            }
            learnt += usize::from(heads.shape.as_ref().is_some_and(|shape| shape.fits(&line)));
            found += usize::from(want.is_some());
            assert_eq!(heads.read(&line), want, "{}", line.escape_ascii());
        }
        assert!(found > 20_000 && learnt > 40_000, "{found} {learnt}");
    }

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        for len in 0..40 {
            for at in 0..len {
                let mut text = vec![0x81; len];
                text[at] = b':';
                assert_eq!(find_byte(&text, b':', b'['), Some(at));
                text[at] = b'[';
                text[len - 1] = b':';
                assert_eq!(find_byte(&text, b':', b'['), Some(if at == len - 1 { len - 1 } else { at }));
                assert_eq!(find_byte(&text[..at], b':', b'['), None);
            }
        }
    }
}
