//! Rows that this node grants, as the lists of messages that carry them (docs/SHARING.md).
//!
//! The bytes are those that Python's JSON encoder gives for the same rows (`ensure_ascii` false, no blanks), and the
//! calculation with times is Python's, in the same order: a node writes the same whichever backend it has.

use std::io::Write as _;

/// Rows as JSON, cut into lists that a message can hold.
#[derive(Clone, Debug)]
pub struct SharedLists {
    now: f64,
    grace: f64,
    most_rows: usize,
    most_bytes: usize,
    done: Vec<Vec<u8>>,
    /// The list that is not full yet, without its closing bracket, and its rows.
    list: Vec<u8>,
    rows: usize,
}

/// One of our rows.
#[derive(Clone, Copy, Debug)]
pub struct OwnRow<'t> {
    /// Canonical text.
    pub ip: &'t str,
    /// The second of its end.
    pub end: i64,
    /// The second of its newest login.
    pub login: i64,
    /// Who logged in, where the log says it.
    pub user: Option<&'t str>,
    /// Name of the format of the login's line.
    pub format: &'t str,
    /// Host of the login's line.
    pub host: &'t str,
}

impl SharedLists {
    /// No rows yet. `now` is on the clock of the rows; none is sent as longer than `grace` seconds.
    #[must_use]
    pub fn new(now: f64, grace: i64, most_rows: usize, most_bytes: usize) -> Self {
        let list = Vec::with_capacity(most_bytes.min(1 << 16));
        Self { now, grace: seconds(grace), most_rows, most_bytes, done: Vec::new(), list, rows: 0 }
    }

    /// Adds a row, unless it has ended. One that is longer than a list may be has a list of its own.
    pub fn push(&mut self, row: OwnRow<'_>) {
        let end = seconds(row.end);
        if end <= self.now {
            return;
        }
        let left = ((end - self.now).min(self.grace) * 1000.0).ceil() as i64;
        let age = (((self.now - seconds(row.login)) * 1000.0).floor() as i64).max(0);
        if self.rows == self.most_rows {
            self.close();
        }
        let before = self.list.len();
        self.write(row, left, age);
        // A closing bracket follows.
        if self.list.len() >= self.most_bytes && self.rows > 0 {
            let next = self.list.split_off(before);
            self.close();
            self.list.push(b'[');
            self.list.extend_from_slice(&next[1..]);
        }
        self.rows += 1;
    }

    /// The lists, each with a row at least.
    #[must_use]
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        if self.rows > 0 {
            self.close();
        }
        self.done
    }

    fn close(&mut self) {
        self.list.push(b']');
        let capacity = self.list.len();
        self.done.push(std::mem::replace(&mut self.list, Vec::with_capacity(capacity)));
        self.rows = 0;
    }

    fn write(&mut self, row: OwnRow<'_>, left: i64, age: i64) {
        let out = &mut self.list;
        out.extend_from_slice(if self.rows == 0 { b"[[" } else { b",[" });
        text(row.ip, out);
        out.push(b',');
        number(left, out);
        out.push(b',');
        match row.user {
            Some(user) => text(user, out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b',');
        text(row.format, out);
        out.push(b',');
        text(row.host, out);
        out.push(b',');
        number(age, out);
        out.push(b']');
    }
}

#[allow(clippy::cast_precision_loss)] // of times after the year 285,000,000
fn seconds(whole: i64) -> f64 {
    whole as f64
}

/// Whether every node takes this text of a row: printable ASCII of at most `longest` bytes. False decides nothing.
#[must_use]
pub fn is_plain(text: &str, longest: usize) -> bool {
    text.len() <= longest && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// By hand: `write!` takes twice as long, and this runs twice a row. No number is negative.
fn number(number: i64, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut rest) = ([b'0'; 20], 20, number.max(0));
    while rest > 0 || at == 20 {
        at -= 1;
        digits[at] += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(is_escaped) {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                8 => out.extend_from_slice(b"\\b"),
                12 => out.extend_from_slice(b"\\f"),
                _ if byte < b' ' => {
                    let _ = write!(out, "\\u{byte:04x}");
                }
                _ => out.push(byte),
            }
        }
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{OwnRow, SharedLists, is_plain};

    const ROW: OwnRow<'_> =
        OwnRow { ip: "192.0.2.1", end: 1_100, login: 999, user: Some("anna"), format: "dovecot", host: "mx1" };
    const TEXT: &str = r#"["192.0.2.1",99500,"anna","dovecot","mx1",1500]"#;

    fn lists(rows: &[OwnRow<'_>], most_rows: usize, most_bytes: usize) -> Vec<String> {
        let mut found = SharedLists::new(1_000.5, 600, most_rows, most_bytes);
        for &row in rows {
            found.push(row);
        }
        found.finish().into_iter().map(|list| String::from_utf8(list).expect("UTF-8")).collect()
    }

    #[test]
    fn rows_are_json() {
        let odd = OwnRow { user: None, host: "a\"\\\n\u{1}ä", end: 2_000, login: 1_010, ..ROW };
        let text = r#"["192.0.2.1",600000,null,"dovecot","a\"\\\n\u0001ä",0]"#;
        assert_eq!(lists(&[ROW, odd], 9, 999), [format!("[{TEXT},{text}]")]);
    }

    #[test]
    fn what_has_ended_is_left_out() {
        let ended = OwnRow { end: 1_000, ..ROW };
        assert_eq!(lists(&[ended, ROW, ended], 9, 999), [format!("[{TEXT}]")]);
        assert!(lists(&[ended], 9, 999).is_empty());
    }

    #[test]
    fn lists_end_at_their_bounds() {
        let (one, two) = (format!("[{TEXT}]"), format!("[{TEXT},{TEXT}]"));
        assert_eq!(lists(&[ROW; 5], 2, 999), [two.clone(), two.clone(), one.clone()]);
        assert_eq!(lists(&[ROW; 5], 9, two.len()), [two.clone(), two.clone(), one.clone()]);
        assert_eq!(lists(&[ROW; 3], 9, two.len() - 1), [one.clone(), one.clone(), one.clone()]);
        assert_eq!(lists(&[ROW; 2], 9, 1), [one.clone(), one]);
    }

    #[test]
    fn plain_is_what_is_printable_ascii() {
        assert!(is_plain("", 0) && is_plain(" a~", 3));
        assert!(!is_plain("abc", 2) && !is_plain("\x7f", 9) && !is_plain("ä", 9) && !is_plain("a\t", 9));
    }
}
