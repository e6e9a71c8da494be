//! Client addresses: strict text forms in, canonical text out. No regular expressions, no allocation but the text.
//!
//! An address is 16 bytes in network order; IPv4 lives in `::ffff:0:0/96`, so the IPv4-mapped form of IPv6 is folded to IPv4 by
//! construction and one key type serves every table.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// The upper 96 bits of an IPv4 address in this representation.
const MAPPED: u128 = 0xffff << 32;

/// One full client address, IPv4 or IPv6. Bytes and not a `u128`, whose alignment would make records a third larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address([u8; 16]);

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u128(self.bits());
    }
}

impl Address {
    /// The address that `text` writes, or `None` when it is not exactly one (docs/MATCHING.md, 4).
    ///
    /// Four decimal numbers without leading zeros, or RFC 4291 2.2; no scope, no prefix length, no blanks.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(v4) = parse_v4(text) {
            return Some(Self((MAPPED | u128::from(v4)).to_be_bytes()));
        }
        // 45 bytes is the longest form, `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
        if text.len() > 45 || !text.contains(&b':') {
            return None;
        }
        let v6: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(Self(v6.octets()))
    }

    fn bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The text that glibc's `inet_ntop` gives, appended to `out`.
    ///
    /// That text is the key in the MTA's table, and the MTA makes its own by the same function; `std`'s differs for
    /// the IPv4-compatible form.
    pub fn write(self, out: &mut String) {
        let bits = self.bits();
        if bits >> 32 == MAPPED >> 32 {
            write_v4(bits as u32, out);
            return;
        }
        let groups: [u16; 8] = std::array::from_fn(|i| (bits >> (112 - 16 * i)) as u16);
        let (start, len) = longest_zero_run(&groups);
        if start == 0 && len == 6 {
            out.push_str("::");
            write_v4(bits as u32, out);
            return;
        }
        for (i, group) in groups.iter().enumerate() {
            if len >= 2 && (start..start + len).contains(&i) {
                if i == start {
                    out.push_str("::");
                }
                continue;
            }
            if i > 0 && (len < 2 || i != start + len) {
                out.push(':');
            }
            let _ = write!(out, "{group:x}");
        }
    }

    /// The canonical text.
    #[must_use]
    pub fn text(self) -> String {
        let mut out = String::with_capacity(39);
        self.write(&mut out);
        out
    }
}

fn parse_v4(text: &[u8]) -> Option<u32> {
    if text.len() > 15 {
        return None;
    }
    let (mut address, mut part, mut digits, mut dots) = (0u32, 0u32, 0u32, 0u32);
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                if digits > 0 && part == 0 {
                    return None;
                }
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
                if part > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && dots < 3 => {
                address = address << 8 | part;
                (part, digits) = (0, 0);
                dots += 1;
            }
            _ => return None,
        }
    }
    (dots == 3 && digits > 0).then_some(address << 8 | part)
}

fn write_v4(address: u32, out: &mut String) {
    let [a, b, c, d] = address.to_be_bytes();
    for (i, part) in [a, b, c, d].into_iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        // By hand: `write!` takes four times as long, and this runs once a row.
        if part >= 100 {
            out.push(char::from(b'0' + part / 100));
        }
        if part >= 10 {
            out.push(char::from(b'0' + part / 10 % 10));
        }
        out.push(char::from(b'0' + part % 10));
    }
}

/// Start and length of the longest run of zero groups, the first of equal ones.
fn longest_zero_run(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (i, &group) in groups.iter().enumerate() {
        run = match (group, run.1) {
            (0, 0) => (i, 1),
            (0, n) => (run.0, n + 1),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    best
}

#[cfg(test)]
mod tests {
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
}
