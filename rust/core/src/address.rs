//! Client addresses: strict text forms in, canonical text out. No regular expressions, no allocation but the text.
//!
//! An address is 16 bytes in network order; IPv4 lives in `::ffff:0:0/96`, so the IPv4-mapped form of IPv6 is folded to
//! IPv4 by construction and one key type serves every table.

use std::fmt::Write as _;

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
        parse_v6(text).map(Self)
    }

    /// The address whose canonical text this is.
    #[must_use]
    pub fn canonical(text: &str) -> Option<Self> {
        if let Some(v4) = parse_v4(text.as_bytes()) {
            return Some(Self((MAPPED | u128::from(v4)).to_be_bytes())); // four decimal numbers have no other form
        }
        let address = parse_v6(text.as_bytes()).map(Self)?;
        (address.text() == text).then_some(address)
    }

    /// Whether it is an IPv4 address.
    #[must_use]
    pub fn is_v4(self) -> bool {
        self.bits() >> 32 == MAPPED >> 32
    }

    /// Its first byte.
    #[must_use]
    pub fn first(self) -> u8 {
        self.0[if self.is_v4() { 12 } else { 0 }]
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
        if self.is_v4() {
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

/// By hand, because `std`'s parser tries every form at every group and takes five times as long.
fn parse_v6(text: &[u8]) -> Option<[u8; 16]> {
    let (mut groups, mut n, mut gap, mut at) = ([0u16; 8], 0, None, 0);
    if text.starts_with(b"::") {
        (gap, at) = (Some(0), 2);
    }
    while at < text.len() {
        let start = at;
        let mut group = 0;
        while let Some(digit) = text.get(at).and_then(|&byte| char::from(byte).to_digit(16)).filter(|_| at < start + 4)
        {
            group = group << 4 | digit as u16;
            at += 1;
        }
        if at == start {
            return None;
        }
        if text.get(at) == Some(&b'.') {
            let v4 = parse_v4(&text[start..])?;
            *groups.get_mut(n)? = (v4 >> 16) as u16;
            *groups.get_mut(n + 1)? = v4 as u16;
            n += 2;
            break;
        }
        *groups.get_mut(n)? = group;
        n += 1;
        match text[at..] {
            [] => {}
            [b':', b':', ..] if gap.is_none() => (gap, at) = (Some(n), at + 2),
            [b':', next, ..] if next != b':' => at += 1,
            _ => return None,
        }
    }
    match gap {
        None if n == 8 => {}
        // The gap replaces one group or more.
        Some(gap) if n < 8 => {
            groups.copy_within(gap..n, gap + 8 - n);
            groups[gap..gap + 8 - n].fill(0);
        }
        _ => return None,
    }
    let mut bytes = [0; 16];
    for (bytes, group) in bytes.chunks_exact_mut(2).zip(groups) {
        bytes.copy_from_slice(&group.to_be_bytes());
    }
    Some(bytes)
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
mod tests;
