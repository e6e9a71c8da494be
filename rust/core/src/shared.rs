//! Rows that other nodes grant: a message of rows in the form in which every node writes it (docs/SHARING.md).
//!
//! This is no JSON parser. It takes only what has one meaning under every one of them: the keys in the writer's order,
//! no blanks, whole numbers, printable ASCII without escapes, canonical addresses, nothing beyond a bound. Whatever else
//! is signed (other kinds, texts of other scripts, hostile rows) is for the caller to judge by its own, slower rules.

use std::str::from_utf8;

use crate::address::Address;

/// Most digits of a whole number: below 2^53, so that no JSON parser rounds it.
const MOST_DIGITS: usize = 15;

/// The longest texts of a message in bytes, and its most rows.
#[derive(Clone, Copy, Debug)]
pub struct SharedBounds {
    /// Rows of a message.
    pub rows: usize,
    /// Name of the run.
    pub run: usize,
    /// User of a row.
    pub user: usize,
    /// Format of a row.
    pub format: usize,
    /// Host of a row.
    pub host: usize,
}

/// One grant as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedRow<'m> {
    /// Canonical text.
    pub ip: &'m str,
    /// Milliseconds until it ends.
    pub left: u64,
    /// Who logged in, where the log says it.
    pub user: Option<&'m str>,
    /// Name of the format of the login's line.
    pub format: &'m str,
    /// Host of the login's line.
    pub host: &'m str,
    /// Milliseconds since the login.
    pub age: u64,
}

/// A message of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRows<'m> {
    /// Which run of the sender wrote it.
    pub run: &'m str,
    /// Its number within the run.
    pub number: u64,
    /// Milliseconds on the hub's clock.
    pub time: u64,
    /// In the message's order.
    pub rows: Vec<SharedRow<'m>>,
}

impl<'m> SharedRows<'m> {
    /// The message that `m` holds, or `None` when it is not exactly in the writer's form.
    #[must_use]
    pub fn parse(m: &'m [u8], bounds: SharedBounds) -> Option<Self> {
        let mut rest = Rest(m);
        rest.literal(b"{\"v\":1,\"b\":")?;
        let run = rest.text(bounds.run)?;
        rest.literal(b",\"q\":")?;
        let number = rest.whole()?;
        rest.literal(b",\"t\":")?;
        let time = rest.whole()?;
        rest.literal(b",\"k\":\"rows\",\"r\":[")?;
        let mut rows = Vec::with_capacity(bounds.rows.min(m.len() / 32));
        loop {
            if rows.len() == bounds.rows {
                return None;
            }
            rows.push(rest.row(bounds)?);
            if rest.literal(b",").is_none() {
                break;
            }
        }
        rest.literal(b"]}")?;
        rest.0.is_empty().then_some(Self { run, number, time, rows })
    }
}

/// What of a message is not read yet.
struct Rest<'m>(&'m [u8]);

impl<'m> Rest<'m> {
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn row(&mut self, bounds: SharedBounds) -> Option<SharedRow<'m>> {
        self.literal(b"[")?;
        let ip = self.text(usize::MAX)?;
        Address::canonical(ip)?;
        self.literal(b",")?;
        let left = self.whole()?;
        self.literal(b",")?;
        let user = if self.literal(b"null").is_some() { None } else { Some(self.text(bounds.user)?) };
        self.literal(b",")?;
        let format = self.text(bounds.format)?;
        self.literal(b",")?;
        let host = self.text(bounds.host)?;
        self.literal(b",")?;
        let age = self.whole()?;
        self.literal(b"]")?;
        Some(SharedRow { ip, left, user, format, host, age })
    }

    /// Printable ASCII between quotation marks, with nothing that JSON would escape.
    fn text(&mut self, longest: usize) -> Option<&'m str> {
        self.literal(b"\"")?;
        let len = self.0.iter().position(|&byte| byte == b'"' || byte == b'\\' || !matches!(byte, b' '..=b'~'))?;
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        self.literal(b"\"")?;
        if len > longest { None } else { from_utf8(text).ok() }
    }

    fn whole(&mut self) -> Option<u64> {
        let digits = self.0.iter().take(MOST_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        if digits == 0 || digits > MOST_DIGITS || (digits > 1 && number[0] == b'0') {
            return None;
        }
        self.0 = rest;
        Some(number.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
    }
}

#[cfg(test)]
mod tests {
    use super::{SharedBounds, SharedRow, SharedRows};

    const BOUNDS: SharedBounds = SharedBounds { rows: 3, run: 8, user: 8, format: 8, host: 8 };
    const ROW: &str = r#"["192.0.2.1",1799803,"anna","dovecot","mx1",197]"#;

    fn message(rows: &str) -> String {
        format!(r#"{{"v":1,"b":"9f2c41aa","q":12,"t":1796026397151,"k":"rows","r":[{rows}]}}"#)
    }

    fn takes(text: &str) -> bool {
        SharedRows::parse(text.as_bytes(), BOUNDS).is_some()
    }

    #[test]
    fn the_writers_form_is_read() {
        let text = message(&format!(r#"{ROW},["2001:db8::1",0,null,"","",0]"#));
        let found = SharedRows::parse(text.as_bytes(), BOUNDS).expect("the writer's form");
        assert_eq!((found.run, found.number, found.time), ("9f2c41aa", 12, 1_796_026_397_151));
        let anna = SharedRow {
            ip: "192.0.2.1",
            left: 1_799_803,
            user: Some("anna"),
            format: "dovecot",
            host: "mx1",
            age: 197,
        };
        let nobody = SharedRow { ip: "2001:db8::1", left: 0, user: None, format: "", host: "", age: 0 };
        assert_eq!(found.rows, [anna, nobody]);
    }

    #[test]
    fn every_other_form_is_left_to_the_caller() {
        assert!(takes(&message(ROW)));
        let changes = [
            (r#""v":1"#, r#""v":2"#),
            (r#""v":1"#, r#""v": 1"#),
            (r#""q":12"#, r#""q":012"#),
            (r#""q":12"#, r#""q":-1"#),
            (r#""q":12"#, r#""q":12.0"#),
            (r#""q":12"#, r#""q":1e3"#),
            (r#""q":12"#, r#""q":1234567890123456"#),
            (r#""k":"rows""#, r#""k":"beat""#),
            (r#""k":"rows""#, r#""k":"rows","x":1"#),
            ("9f2c41aa", "9f2c41aab"),
            ("192.0.2.1", "192.0.2.01"),
            ("192.0.2.1", "192.0.2"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("192.0.2.1", "2001:DB8::1"),
            ("192.0.2.1", "2001:db8:0::1"),
            ("anna", "anna-much-too-long"),
            ("anna", "an\\\"na"),
            ("anna", "ann\u{e4}"),
            ("anna", "ann\t"),
            ("anna", "ann\u{7f}"),
            ("dovecot", "dovecot-9"),
            ("mx1", "mx1.example"),
            (",197]", ",NaN]"),
            (",197]", ",197,1]"),
            (",197]", "]"),
        ];
        for (from, to) in changes {
            let text = message(ROW).replacen(from, to, 1);
            assert_ne!(text, message(ROW), "{from}");
            assert!(!takes(&text), "{text}");
        }
        assert!(!takes(&message("")));
        assert!(!takes(&message(&[ROW; 4].join(","))));
        assert!(!takes(&format!("{} ", message(ROW))));
        for len in 0..message(ROW).len() {
            assert!(!takes(&message(ROW)[..len]));
        }
    }
}
