//! The users of one row: the first, the last, and how many there are, counted to `MAX_USERS`.

use std::hash::{BuildHasher as _, Hasher as _};

use crate::MAX_USERS;
use crate::texts::{Text, Texts, text};

/// Nearly every row has one user, so the list of the others is made late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    first: Option<Text>,
    last: Option<Text>,
    /// Distinct users but the first, with a hash to pass over them quickly; at most `MAX_USERS - 1`.
    others: Vec<(u32, Text)>,
}

impl Users {
    pub(crate) fn first(&self) -> Option<Text> {
        self.first
    }

    pub(crate) fn last(&self) -> Option<Text> {
        self.last
    }

    pub(crate) fn count(&self) -> u32 {
        u32::from(self.first.is_some()) + self.others.len() as u32
    }

    /// Counts the user of one more event, given as the bytes of its line.
    pub(crate) fn add(&mut self, texts: &mut Texts, bytes: &[u8]) {
        // Texts are kept mended, so equal bytes are equal texts.
        if self.last.is_some_and(|last| texts.get(last) == bytes) {
            return;
        }
        let user = text(bytes);
        let Some(first) = self.first else {
            let added = texts.add(&user);
            (self.first, self.last) = (Some(added), Some(added));
            return;
        };
        if texts.get(first) == &*user {
            self.last = Some(first);
            return;
        }
        let hash = hash(&user);
        let known = self.others.iter().find(|&&(other, text)| other == hash && texts.get(text) == &*user);
        if let Some(&(_, known)) = known {
            self.last = Some(known);
            return;
        }
        let added = texts.add(&user);
        self.last = Some(added);
        if self.count() < MAX_USERS {
            self.others.push((hash, added));
        }
    }
}

fn hash(text: &[u8]) -> u32 {
    // Only passes over unequal texts: a row holds few of them, so a fixed seed does no harm.
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(text);
    hasher.finish() as u32
}
