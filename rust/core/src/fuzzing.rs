//! What only the fuzz targets (rust/fuzz) and tests ask: the slow ways, to hold the quick ones to.

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::head::envelope;
use crate::head::envelope_cache::Heads;
use crate::lines::Lines;
use crate::pattern::engine::{Engine, prefixes};
use crate::spec::FormatSpec;

impl Catalogue {
    /// The same catalogue with every pattern on the engine for all patterns, none on `walk`.
    ///
    /// # Errors
    /// As `new`.
    pub fn reference(specs: &[FormatSpec], zone: &[(i64, i64)]) -> Result<Self, Error> {
        Self::with_engines(specs, zone, |pattern, structure| Engine::without_walk(pattern, prefixes(structure)))
    }
}

/// Reads the envelope of each line the quick way and by the grammar. The number of lines whose tag a format knows.
///
/// # Panics
/// When the two differ.
#[must_use]
pub fn check_envelopes(catalogue: &Catalogue, data: &[u8]) -> usize {
    let mut heads = Heads::new(&catalogue.tags);
    let mut known = 0;
    for line in Lines::new(data).filter(|line| !line.is_too_long()) {
        let text = line.of(data);
        let grammar = envelope::syslog(text).and_then(|envelope| {
            assert!(envelope.message <= envelope.end && envelope.end <= text.len());
            Some((envelope, catalogue.tags.find(envelope.tag?.of(text))?))
        });
        assert_eq!(heads.read(text), grammar, "{}", text.escape_ascii());
        known += usize::from(grammar.is_some());
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Layout;
    use crate::stream::Stream;
    use crate::testing::specs;

    #[test]
    fn the_reference_catalogue_reads_the_same() {
        let data = b"Mar  4 07:59:00 mx alpha: in: a ip=192.0.2.1 id=q\nMar  4 07:59:00 mx both: hello ::1 x\nnone\n\
            Mar  4 07:59:00 hub Message forwarded from mx: alpha[7]: out: id=q\n";
        let told = |catalogue: Catalogue| {
            assert_eq!(check_envelopes(&catalogue, data), 3);
            let catalogue = std::sync::Arc::new(catalogue);
            let scan = catalogue.scan(data, Layout::Syslog, 0);
            let mut stream = Stream::new(catalogue.clone(), 0, false, true);
            let events: Vec<String> = stream.events(&scan, data).iter().map(|event| format!("{event:?}")).collect();
            events
        };
        let walking = told(Catalogue::new(&specs(), &[(0, 0)]).unwrap());
        assert_eq!(walking.len(), 3);
        assert_eq!(walking, told(Catalogue::reference(&specs(), &[(0, 0)]).unwrap()));
    }
}
