//! Tags to targets: which formats a tag fits, found in a few nanoseconds for the many lines of other programs.

use hashbrown::HashMap;

/// Finds the target of a tag: an exact name, or the last `/`-component of one (docs/MATCHING.md, 3).
#[derive(Clone, Debug)]
pub(crate) struct Tags {
    exact: HashMap<Box<[u8]>, u16, foldhash::fast::RandomState>,
    component: HashMap<Box<[u8]>, u16, foldhash::fast::RandomState>,
    ends: Ends,
}

/// A filter on a tag's last bytes, the part in which exact names and components are alike.
#[derive(Clone, Debug)]
struct Ends {
    /// Bytes looked at: those of the shortest name, at most 4.
    width: usize,
    bits: [u64; 64],
}

impl Tags {
    /// A table of exact names and of components.
    pub(crate) fn new(exact: Vec<(Box<[u8]>, u16)>, component: Vec<(Box<[u8]>, u16)>) -> Self {
        let ends = Ends::new(exact.iter().chain(&component).map(|(name, _)| &name[..]));
        Self { exact: exact.into_iter().collect(), component: component.into_iter().collect(), ends }
    }

    /// Whether `find` can know a tag that ends where `text` does. False only for tags that it does not know.
    pub(crate) fn may_end(&self, text: &[u8]) -> bool {
        self.ends.may_end(text)
    }

    /// The target of a tag.
    pub(crate) fn find(&self, tag: &[u8]) -> Option<u16> {
        self.exact.get(tag).copied().or_else(|| {
            let slash = memchr::memrchr(b'/', tag)?;
            self.component.get(&tag[slash + 1..]).copied()
        })
    }
}

impl Ends {
    fn new<'a>(names: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let width = names.clone().map(<[u8]>::len).min().unwrap_or(0).min(4);
        let mut ends = Self { width, bits: [0; 64] };
        for name in names {
            let bit = ends.hash(name);
            ends.bits[bit / 64] |= 1 << (bit % 64);
        }
        ends
    }

    fn may_end(&self, text: &[u8]) -> bool {
        text.len() >= self.width && {
            let bit = self.hash(text);
            self.bits[bit / 64] >> (bit % 64) & 1 == 1
        }
    }

    fn hash(&self, text: &[u8]) -> usize {
        let tail = match text.last_chunk::<4>() {
            Some(&last) => u32::from_be_bytes(last) & (!0u32).checked_shr(32 - 8 * self.width as u32).unwrap_or(0),
            None => text[text.len() - self.width..].iter().fold(0, |tail, &byte| tail << 8 | u32::from(byte)),
        };
        (tail.wrapping_mul(0x9e37_79b1) >> 20) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn exact_names_win_and_components_need_a_slash() {
        let boxed = |names: &[(&str, u16)]| names.iter().map(|&(name, n)| (name.as_bytes().into(), n)).collect();
        let tags = Tags::new(boxed(&[("imap", 0), ("a/pop3", 1)]), boxed(&[("pop3", 2), ("imap", 3)]));
        for (tag, want) in [
            ("imap", Some(0)),
            ("x/imap", Some(3)),
            ("x/y/imap", Some(3)),
            ("/imap", Some(3)),
            ("pop3", None),
            ("a/pop3", Some(1)),
            ("b/a/pop3", Some(2)),
            ("imapd", None),
            ("imap/", None),
            ("", None),
        ] {
            assert_eq!(tags.find(tag.as_bytes()), want, "{tag}");
            assert!(want.is_none() || tags.may_end(tag.as_bytes()), "{tag}");
        }
    }

    #[test]
    fn the_filter_never_hides_a_known_tag_and_hides_most_others() {
        let mut random = Random::new(3);
        for shortest in 1..=6 {
            let mut name =
                || -> Box<[u8]> { (0..shortest + random.below(4)).map(|_| b"abcdefghi"[random.below(9)]).collect() };
            let exact: Vec<(Box<[u8]>, u16)> = (0..20).map(|n| (name(), n)).collect();
            let others: Vec<Box<[u8]>> = (0..2_000).map(|_| name()).collect();
            let tags = Tags::new(exact.clone(), Vec::new());
            assert!(exact.iter().all(|(name, _)| tags.may_end(name)));
            assert!(exact.iter().all(|(name, _)| tags.may_end(&[b"host ", &name[..]].concat())));
            let passed = others.iter().filter(|other| tags.may_end(other)).count();
            assert!(shortest < 4 || passed < 100, "{passed} of 2000 pass at {shortest}");
            assert!(others.iter().all(|other| tags.find(other).is_none() || tags.may_end(other)));
        }
    }
}
