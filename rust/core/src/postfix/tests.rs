use super::*;

const SMTPD: &str = "Nov 22 08:00:00 hub postfix/smtpd[7]: ";
const SMTP: &str = "Nov 22 08:00:00 hub postfix/smtp[8]: ";

fn read(line: &str) -> Option<PostfixLine> {
    PostfixLines::new().unwrap().lines(line.as_bytes()).first().copied()
}

#[test]
fn a_client_has_key_address_and_user() {
    let line = format!("{SMTPD}ABC: client=x[84.0.7.1], sasl_method=PLAIN, sasl_username=a, b, sasl_sender=c");
    let found = read(&line).unwrap();
    let line = line.as_bytes();
    assert_eq!(
        (found.kind, found.key(line), found.ip(line)),
        (PostfixKind::Client, b"hub ABC".to_vec(), &b"84.0.7.1"[..])
    );
    assert_eq!(found.user(line), Some(&b"a, b"[..]));
    assert!(!found.is_of_client() && read(&format!("{SMTPD}ABC: client=x[84.0.7.1]")).unwrap().is_of_client());
}

#[test]
fn a_relay_is_read_with_and_without_the_pattern() {
    let patterns = PostfixLines::new().unwrap();
    let relays =
        ["mx[198.51.100.1]:25,", "none,", "mx[x]:25,", "mx[1]:,", "[::1]:25,", "m,x[1]:2,", "mx[1]:2", "a]b[1]:2,"];
    for relay in relays {
        for before in [">, ", ">, orig_to=<b>, ", ">, relay=x>, ", ">, orig_to=<b>, >, "] {
            let line = format!("to=<a{before}relay={relay} status=sent");
            let line = line.as_bytes();
            let by_pattern = groups(&patterns.relay, line, 0).map(|found| {
                let whole = found.get_match().unwrap();
                (whole.start(), found.get_group(2).map_or(&b""[..], |ip| &line[ip.range()]), whole.end())
            });
            let plain = plain_relay(line, 0);
            assert!(plain.is_none() || plain == by_pattern, "{relay} {before}");
            assert!(plain.is_some() || before != ">, " || by_pattern.is_none() || relay == "none,", "{relay}");
        }
    }
}

#[test]
fn only_the_daemons_own_lines_count() {
    let text = "ABC: client=x[84.0.7.1]";
    assert!(read(&format!("{SMTPD}{text}")).is_some() && read(&format!("{SMTP}{text}")).is_none());
    assert!(read(&format!("Nov 22 08:00:00 hub sshd[1]: postfix/smtpd[7]: {text}")).is_none());
    assert!(read(&format!("postfix/smtpd[7]: {text}")).is_none());
    assert!(read(&format!("<22>1 2025-11-22T08:00:00Z hub postfix 7 - - {text}")).is_some());
}
