//! What Postfix's lines say about a message: who brought it, who sent it, where it went (docs/MATCHING.md, 9).
//!
//! Envelopes are not parsed here: of a line that passes the literal check only the tag and what is behind it counts.

use memchr::memmem;
use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;

use crate::literals::{Held, Literals};
use crate::pattern::engine::probe;
use crate::postfix::head::{Key, key, may_be, tag};
use crate::span::Span;

mod head;

const TEXTS: [&str; 5] = ["client=", "to=<", "disconnect from ", "reject: ", "info: DATA from "];

const RELAY: &str = r">, (?:orig_to=<.*>, )?relay=(?:(none)|[^\[\], ]*\[([0-9A-Fa-f:.]+)\]:[0-9]+),";
const QUEUED_AS: &str = r"queued as ([0-9A-Za-z]+)\)?\s*$";
const ORIGINAL_ID: &str = ", orig_queue_id=([0-9A-Za-z]+)";
const ORIGINAL_CLIENT: &str = r", orig_client=[^\[\]]*\[([0-9A-Fa-f:.]+)\]";
const LOGIN: &str = r"\]: pbs-fast: login=(.*?)(?: \(([0-9]+) more\))?(?: since=[0-9:]+)?; from=<.* helo=<(.*)>$";

const SASL: &[u8] = b", sasl_username=";
const BEHIND_SASL: [&[u8]; 3] = [b", sasl_sender=", b", orig_queue_id=", b", orig_client="];
const HELO: &[u8] = b" helo=<";

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostfixKind {
    /// A message comes in.
    Client = 0,
    /// An attempt to hand it to another host for one recipient.
    Sent = 1,
    /// It was handed to a content filter on this host, which queued it anew.
    Filtered = 2,
    /// The policy service named its login.
    Named = 3,
    /// A refused recipient, with the client's greeting.
    Greeting = 4,
    /// A session in which mail was sent without authentication.
    Session = 5,
}

/// One line that says something. Its parts are asked for with the line itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostfixLine {
    /// What it says.
    pub kind: PostfixKind,
    /// Where the line starts in the data.
    pub start: usize,
    /// Where it ends, without its line end.
    pub end: usize,
    /// Client: its address is what XFORWARD gave; Named: the address has other logins; Session: with TLS.
    pub flag: bool,
    key: Key,
    ip: Span,
    user: Option<Span>,
    other: Option<Span>,
    helo: Span,
}

impl PostfixLine {
    fn new(kind: PostfixKind, held: &Held, key: Key) -> Self {
        let (user, other) = (None, None);
        let (ip, greeting) = Default::default();
        Self { kind, start: held.start, end: held.end, flag: false, key, ip, user, other, helo: greeting }
    }

    /// Host, blank, queue id; empty for Greeting and Session.
    #[must_use]
    pub fn key(&self, line: &[u8]) -> Vec<u8> {
        self.key.of(line)
    }

    /// The client's address; empty for Sent and Filtered.
    #[must_use]
    pub fn ip<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        self.ip.of(line)
    }

    /// Client: who authenticated; Named: the login.
    #[must_use]
    pub fn user<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        self.user.map(|user| user.of(line))
    }

    /// Client: key of the message that a content filter hands back under this id; Filtered: that of the new message;
    /// Sent: the recipient in small letters.
    #[must_use]
    pub fn other(&self, line: &[u8]) -> Option<Vec<u8>> {
        let other = self.other?;
        Some(match self.kind {
            PostfixKind::Sent => other.of(line).to_ascii_lowercase(),
            _ => Key { id: other, ..self.key }.of(line),
        })
    }

    /// Whether it is the client alone that makes it matter: Postfix does not say who authenticated, or what XFORWARD gave.
    #[must_use]
    pub fn is_of_client(&self) -> bool {
        match self.kind {
            PostfixKind::Client => self.user.is_none() && self.other.is_none() && !self.flag,
            PostfixKind::Sent | PostfixKind::Filtered => false,
            PostfixKind::Named | PostfixKind::Greeting | PostfixKind::Session => true,
        }
    }

    /// How the client greets, of Named and Greeting.
    #[must_use]
    pub fn helo<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        self.helo.of(line)
    }
}

/// Finds such lines.
#[derive(Debug)]
pub struct PostfixLines {
    literals: Literals,
    relay: Regex,
    queued_as: Regex,
    original_id: Regex,
    original_client: Regex,
    login: Regex,
}

impl PostfixLines {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// The reason in one line when the engine refuses one.
    pub fn new() -> Result<Self, String> {
        Ok(Self {
            literals: Literals::new(&TEXTS),
            relay: probe(RELAY)?,
            queued_as: probe(QUEUED_AS)?,
            original_id: probe(ORIGINAL_ID)?,
            original_client: probe(ORIGINAL_CLIENT)?,
            login: probe(LOGIN)?,
        })
    }

    /// The lines that say something, in their order.
    #[must_use]
    pub fn lines(&self, data: &[u8]) -> Vec<PostfixLine> {
        let held = self.literals.lines(data, may_be);
        held.iter().filter_map(|held| self.read(&data[held.start..held.end], held)).collect()
    }

    fn read(&self, line: &[u8], held: &Held) -> Option<PostfixLine> {
        let at = held.at - held.start;
        if held.which == 1 {
            return self.sent(line, at, held);
        }
        let opens = at + memchr::memchr(b'[', &line[at..])?;
        let closes = opens + memchr::memchr(b']', &line[opens..])?;
        let ip = Span::new(opens + 1, closes);
        match held.which {
            0 => self.client(line, at, ip, held),
            2 => session(line, at, ip, held),
            3 => greeting(line, at, ip, held),
            _ => self.named(line, at, ip, held),
        }
    }

    fn client(&self, line: &[u8], at: usize, ip: Span, held: &Held) -> Option<PostfixLine> {
        let mut found =
            PostfixLine { ip, ..PostfixLine::new(PostfixKind::Client, held, key(line, at, held, b"/smtpd")?) };
        let rest = ip.end() + 1;
        if rest < line.len() {
            found.user = sasl(line, rest);
            if memmem::find(&line[rest..], b", orig_").is_some() {
                found.other = group(&self.original_id, line, rest, 1);
                if let Some(client) = group(&self.original_client, line, rest, 1) {
                    (found.ip, found.flag) = (client, true);
                }
            }
        }
        is_address(found.ip.of(line)).then_some(found)
    }

    fn sent(&self, line: &[u8], at: usize, held: &Held) -> Option<PostfixLine> {
        let key = key(line, at, held, b"/smtp")?;
        let (recipient, relay, rest) = plain_relay(line, at).or_else(|| {
            let groups = groups(&self.relay, line, at)?;
            let whole = groups.get_match()?;
            Some((whole.start(), groups.get_group(2).map_or(&b""[..], |relay| &line[relay.range()]), whole.end()))
        })?;
        if relay.starts_with(b"127.") || relay == b"::1" {
            let anew = group(&self.queued_as, line, rest, 1)?;
            return Some(PostfixLine { other: Some(anew), ..PostfixLine::new(PostfixKind::Filtered, held, key) });
        }
        let recipient = Span::new(at + TEXTS[1].len(), recipient);
        Some(PostfixLine { other: Some(recipient), ..PostfixLine::new(PostfixKind::Sent, held, key) })
    }

    fn named(&self, line: &[u8], at: usize, ip: Span, held: &Held) -> Option<PostfixLine> {
        let key = key(line, at, held, b"/smtpd")?;
        let groups = groups(&self.login, line, at)?;
        let span = |group| groups.get_group(group).map(|found| Span::new(found.start, found.end));
        let user = span(1).filter(|user| !user.is_empty())?;
        Some(PostfixLine {
            ip: address(line, ip)?,
            user: Some(user),
            helo: span(3)?,
            flag: span(2).is_some_and(|more| more.of(line).iter().any(|&digit| digit != b'0')),
            ..PostfixLine::new(PostfixKind::Named, held, key)
        })
    }
}

/// What RELAY finds in nearly all lines, whose recipient had no other address before: its end, the relay's address, the end of the match.
fn plain_relay(line: &[u8], at: usize) -> Option<(usize, &[u8], usize)> {
    const BEHIND: &[u8] = b">, relay=";
    let text = &line[at..];
    let ends = memchr::memchr_iter(b'>', text).find(|&at| text[at..].starts_with(b">, "))?;
    if !text[ends..].starts_with(BEHIND) {
        return None;
    }
    let host = &text[ends + BEHIND.len()..];
    let opens = host.iter().position(|byte| b"[], ".contains(byte)).filter(|&opens| host[opens] == b'[')?;
    let ip = &host[opens + 1..];
    let ip = &ip[..ip.iter().position(|&byte| !(byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'))?];
    let rest = host[opens + 1 + ip.len()..].strip_prefix(b"]:")?;
    let port = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    (!ip.is_empty() && port > 0 && rest[port] == b',').then(|| (at + ends, ip, line.len() - rest.len() + port + 1))
}

fn session(line: &[u8], at: usize, ip: Span, held: &Held) -> Option<PostfixLine> {
    let words = || line[at..].split(|&byte| byte == b' ').skip(1);
    let has = |word: &[u8]| words().any(|found| found.starts_with(word));
    let tag = tag(&line[..at - 2])?;
    if !tag.ends_with(b"/smtpd") || held.colon + 2 != held.at || !has(b"mail=") || has(b"auth=") {
        return None;
    }
    let flag = has(b"starttls=");
    Some(PostfixLine { ip: address(line, ip)?, flag, ..PostfixLine::new(PostfixKind::Session, held, Key::default()) })
}

fn greeting(line: &[u8], at: usize, ip: Span, held: &Held) -> Option<PostfixLine> {
    key(line, at, held, b"/smtpd")?;
    let starts = at + memmem::find(&line[at..], HELO)? + HELO.len();
    let ends = line.len().checked_sub(1).filter(|&last| last >= starts && line[last] == b'>')?;
    Some(PostfixLine {
        ip: address(line, ip)?,
        helo: Span::new(starts, ends),
        ..PostfixLine::new(PostfixKind::Greeting, held, Key::default())
    })
}

/// Who authenticated, by what is behind the client's address.
fn sasl(line: &[u8], rest: usize) -> Option<Span> {
    let starts = rest + memmem::find(&line[rest..], SASL)? + SASL.len();
    let text = &line[starts..];
    let ends = BEHIND_SASL.iter().filter_map(|next| memmem::find(text, next)).min().unwrap_or(text.len());
    Some(Span::new(starts, starts + ends))
}

fn address(line: &[u8], ip: Span) -> Option<Span> {
    is_address(ip.of(line)).then_some(ip)
}

/// `unknown` is no address.
fn is_address(ip: &[u8]) -> bool {
    ip.is_ascii() && (ip.first().is_some_and(u8::is_ascii_digit) || ip.contains(&b':'))
}

/// The groups of the first match in the line from this place on.
fn groups(pattern: &Regex, line: &[u8], from: usize) -> Option<Captures> {
    let mut found = pattern.create_captures();
    pattern.search_captures(&Input::new(line).range(from..), &mut found);
    found.is_match().then_some(found)
}

fn group(pattern: &Regex, line: &[u8], from: usize, number: usize) -> Option<Span> {
    let found = groups(pattern, line, from)?.get_group(number)?;
    Some(Span::new(found.start, found.end))
}

#[cfg(test)]
mod tests;
