//! Addresses against glibc's texts and `std`'s parsers.

use super::*;

fn canonical(text: &str) -> Option<String> {
    Address::parse(text.as_bytes()).map(Address::text)
}

#[test]
fn canonical_text_is_that_of_inet_ntop() {
    // Right-hand sides were made with glibc 2.36's inet_pton and inet_ntop, then folded where mapped.
    for (text, want) in [
        ("192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("::", "::"),
        ("::1", "::1"),
        ("::FFFF:198.51.100.14", "198.51.100.14"),
        ("::ffff:c633:640e", "198.51.100.14"),
        ("0:0:0:0:0:ffff:198.51.100.14", "198.51.100.14"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("1:2:3:4:5:6::", "1:2:3:4:5:6::"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("::1.2.3.4", "::1.2.3.4"),
        ("::1:2", "::0.1.0.2"),
        ("::102:304", "::1.2.3.4"),
        ("::1:0:0", "::1:0:0"),
        ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ("::ffff:0:1.2.3.4", "::ffff:0:102:304"),
    ] {
        assert_eq!(canonical(text).as_deref(), Some(want), "{text}");
    }
}

#[test]
fn anything_but_one_strict_address_is_none() {
    for text in [
        "",
        ".",
        ":",
        ":::",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "01.2.3.4",
        "1.2.3.00",
        "256.1.1.1",
        "1.2.3.4444",
        "1.2.3.4 ",
        " 1.2.3.4",
        "+1.2.3.4",
        "1.2.3.4/8",
        "1.2.3.4\0",
        "fe80::1%eth0",
        "::1/128",
        "[::1]",
        "12345::",
        "g::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4::5:6:7:8",
        "1::2::3",
        "::1.2.3",
        "::1.2.3.04",
        "::1.2.3.4:5",
        "1.2.3.4::",
        "1:2:3:4:5:6:7:1.2.3.4",
        ":1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:",
        "10",
        "0x7f000001",
    ] {
        assert_eq!(canonical(text), None, "{text}");
    }
}

#[test]
fn v4_agrees_with_std_on_every_short_text_of_its_alphabet() {
    let mut taken = 0;
    let mut text = Vec::new();
    let mut random = crate::testing::Random::new(4);
    for _ in 0..200_000 {
        text.clear();
        for part in 0..*random.pick(&[3, 4, 4, 4, 4, 5]) {
            if part > 0 {
                text.push(b'.');
            }
            for _ in 0..*random.pick(&[1, 1, 2, 2, 2, 3, 3, 0, 4]) {
                text.push(b"0122345678"[random.below(10)]);
            }
        }
        let std = std::str::from_utf8(&text).unwrap().parse::<std::net::Ipv4Addr>().ok();
        assert_eq!(parse_v4(&text), std.map(u32::from), "{}", text.escape_ascii());
        taken += usize::from(std.is_some());
    }
    assert!(taken > 2_000, "only {taken} addresses");
}

#[test]
fn v6_agrees_with_std() {
    let mut random = crate::testing::Random::new(9);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..400_000 {
        let mut text = String::new();
        for _ in 0..*random.pick(&[1, 2, 3, 5, 7, 8, 8, 8, 9]) {
            text.push_str(
                ["0", "1", "ab", "F00", "2001", "fFfF", "0000", "12345", "g", ""]
                    [random.below(10).min(random.below(10))],
            );
            text.push_str([":", ":", ":", ":", ":", "::"][random.below(6)]);
        }
        match random.below(6) {
            0 => text.push_str("192.0.2.1"),
            1 => text.push_str("1.2.3"),
            2 => text.push_str("ffff"),
            3 => {}
            _ => text.truncate(text.len() - 1),
        }
        let std = text.parse::<std::net::Ipv6Addr>().ok().map(|address| address.octets());
        assert_eq!(parse_v6(text.as_bytes()), std, "{text}");
        if std.is_some() { taken += 1 } else { refused += 1 }
    }
    assert!(taken > 30_000 && refused > 30_000, "{taken} {refused}");
}
