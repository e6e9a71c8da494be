//! Where lines begin that begin like no header.
//!
//! Such a line may be the rest of a message in which somebody sent a line feed (SECURITY.md). A log that is followed is
//! looked at whole for them, so this costs a few nanoseconds a line.

use memchr::memchr;

/// Starts of the lines of `data` that begin in no usual way; the last line may lack its newline.
#[must_use]
pub fn unusual_begins(data: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < data.len() {
        if !is_usual(&data[start..]) {
            found.push(start);
        }
        start += memchr(b'\n', &data[start..]).map_or(data.len() - start, |newline| newline + 1);
    }
    found
}

/// Whether a text begins with `Mar  4`, `Mar 14`, `2026-03-` or `<22>`, as nearly every header does.
fn is_usual(text: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    match text {
        [b'<', rest @ ..] => {
            let number = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
            number > 0 && rest.get(number) == Some(&b'>')
        }
        [capital, second, third, b' ', day, ..] if capital.is_ascii_uppercase() => {
            second.is_ascii_lowercase() && third.is_ascii_lowercase() && (*day == b' ' || day.is_ascii_digit())
        }
        _ => text.first_chunk().is_some_and(|date: &[u8; 8]| {
            digits(&date[..4]) && date[4] == b'-' && digits(&date[5..7]) && date[7] == b'-'
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_header_are_found_wherever_they_stand() {
        let usual = ["Mar  4 x", "Mar 4", "Mar 14", "2026-03-", "2026-03-04T", "<2>", "<22>", "<221>1 -"];
        let unusual = ["", "Mar", "Mar x", "mar  4", "MAR  4", "2026-03", "2026-3-04", "<>", "<2", "<2222>", " x"];
        for (number, line) in usual.iter().chain(&unusual).enumerate() {
            let text = format!("Mar  4 first\n{line}\nMar  4 last\n{line}");
            let mut want = if number < usual.len() { vec![] } else { vec![13, text.len() - line.len()] };
            want.retain(|&start| start < text.len());
            assert_eq!(unusual_begins(text.as_bytes()), want, "{line}");
        }
        assert_eq!(unusual_begins(b""), []);
        assert_eq!(unusual_begins(b"\n"), [0]);
        assert_eq!(unusual_begins(b"x"), [0]);
    }
}
