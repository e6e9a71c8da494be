//! The walk against the engine for all patterns, on random patterns and messages.

use std::fmt::Write as _;

use crate::pattern::engine::{Engine, Groups, one_pass};
use crate::testing::Random;

fn pick<'t>(random: &mut Random, texts: &[&'t str]) -> &'t str {
    texts[random.below(texts.len())]
}

/// Random patterns of few letters, most of them one-pass.
fn pattern(random: &mut Random, depth: usize, names: &mut Vec<&str>) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(3) {
        match random.below(if depth == 0 { 6 } else { 13 }) {
            0..=2 => text.push_str(pick(random, &["a", "b", "c", " ", "c"])),
            3 => text.push_str(pick(random, &["[^c]*", "[^ ]+", "[a-c]*", "[^ab]*", "[0-9a-f:.]+", "[^abc ]*"])),
            4 => text.push_str(pick(random, &[".*", "a?", "[^a]*a", "c+", "(?:b|c)", "(?:a|bc)?"])),
            5 => text.push_str(pick(random, &["[^\\x00-\\x7f]", "\\xff*", "(?i:ab)", "a{2,3}"])),
            6 => write!(text, "(?:{})?", pattern(random, depth - 1, names)).unwrap(),
            7 => write!(text, "(?:{})*", pattern(random, depth - 1, names)).unwrap(),
            8 => {
                let (one, two) = (pattern(random, depth - 1, names), pattern(random, depth - 1, names));
                write!(text, "(?:{one}|{two})").unwrap();
            }
            _ => match names.pop() {
                Some(name) => write!(text, "(?P<{name}>{})", pattern(random, depth - 1, names)).unwrap(),
                None => text.push('b'),
            },
        }
    }
    text
}

#[test]
fn a_walk_finds_what_the_other_engine_finds() {
    let mut random = Random::new(13);
    let (mut walks, mut matches, mut captures) = (0, 0, 0);
    for _ in 0..40_000 {
        let mut names = vec!["ip", "user", "session", "lip", "tls"];
        let pattern = pattern(&mut random, 2, &mut names);
        let Ok(engine) = Engine::new(&pattern) else { continue };
        let reference = Engine::without_walk(&pattern, Vec::new()).unwrap();
        if !engine.walks() {
            continue;
        }
        walks += 1;
        let (mut cache, mut other) = (engine.cache(), reference.cache());
        for _ in 0..30 {
            let message: Vec<u8> = (0..random.below(9)).map(|_| b"aaabbbccc  :0\n\xff"[random.below(15)]).collect();
            let want = reference.run(&mut other, &message, 0, 0);
            assert_eq!(engine.run(&mut cache, &message, 0, 0), want, "{pattern} on {}", message.escape_ascii());
            matches += usize::from(want.is_some());
            captures += usize::from(want.is_some_and(|groups| groups != Groups::default()));
        }
    }
    assert!(walks > 10_000 && matches > 10_000 && captures > 1_000, "{walks} {matches} {captures}");
}

#[test]
fn what_the_lint_calls_one_pass_walks() {
    let mut random = Random::new(14);
    let (mut both, mut only) = (0, 0);
    for _ in 0..10_000 {
        let pattern = pattern(&mut random, 2, &mut vec!["ip", "user", "session", "lip", "tls"]);
        if one_pass(&pattern) != Ok(None) {
            continue;
        }
        if Engine::new(&pattern).unwrap().walks() { both += 1 } else { only += 1 }
    }
    assert!(both > 2_000 && only * 50 < both, "{both} {only}");
}
