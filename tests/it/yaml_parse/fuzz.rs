//! Texts that nobody would write: the suite, mutated the same way in every run.

use std::collections::BTreeMap;
use std::env;

use waxseal::document::{Document, Format};

use super::differences::{self, Difference};
use super::{corpora, corpus, invariants};

/// Xorshift: small, and the same numbers everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }
}

const PIECES: [&str; 60] = [
    " ",
    " ",
    "  ",
    "\n",
    "\n",
    "\n ",
    "\n  ",
    "\t",
    "\r\n",
    "\r",
    "- ",
    "-",
    "? ",
    "?",
    ": ",
    ":",
    "#",
    " #",
    " # c\n",
    "\n# c\n",
    "\n  # c\n",
    "&a ",
    "&a",
    "*a",
    "*a ",
    "!t ",
    "!!str ",
    "!",
    "[",
    "]",
    "{",
    "}",
    ",",
    ", ",
    "'",
    "''",
    "\"",
    "\\",
    "\\n",
    "\\\n",
    "|",
    ">",
    "|\n",
    "|-\n",
    ">+\n",
    "|2\n",
    "---",
    "---\n",
    "...",
    "...\n",
    "%YAML 1.2\n",
    "a",
    "b: c",
    "key:",
    "é",
    "\u{2028}",
    "%",
    "@",
    "\u{feff}",
    "\u{7}",
];

/// A text made from `texts` by a few changes.
pub(super) fn mutate(texts: &[String], dice: &mut Dice) -> String {
    let mut text = texts[dice.below(texts.len())].clone();
    for _ in 0..=dice.below(4) {
        let (from, to) = (boundary(&text, dice), boundary(&text, dice));
        match dice.below(8) {
            0..=2 => text.insert_str(from, PIECES[dice.below(PIECES.len())]),
            3 => {
                let end = text[from..].chars().next().map_or(from, |c| from + c.len_utf8());
                text.replace_range(from..end, PIECES[dice.below(PIECES.len())]);
            }
            4 => {
                let end = text[from..].char_indices().nth(1 + dice.below(4));
                text.replace_range(from..end.map_or(text.len(), |(at, _)| from + at), "");
            }
            5 => {
                let copied = text[from.min(to)..from.max(to)].to_owned();
                let at = boundary(&text, dice);
                text.insert_str(at, &copied[..boundary(&copied, dice)]);
            }
            6 => {
                let other = &texts[dice.below(texts.len())];
                let (start, end) = (boundary(other, dice), boundary(other, dice));
                text.insert_str(from, &other[start.min(end)..start.max(end)]);
            }
            _ => {
                let line = text[..from].rfind('\n').map_or(0, |at| at + 1);
                if text[line..].starts_with(' ') && dice.below(2) == 0 {
                    text.remove(line);
                } else {
                    text.insert(line, ' ');
                }
            }
        }
    }
    text.truncate((0..=text.len().min(4000)).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0));
    text
}

fn boundary(text: &str, dice: &mut Dice) -> usize {
    let at = dice.below(text.len() + 1);
    (0..=at).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The texts to start from: the suite if it is here, and some of our own.
fn seeds() -> Vec<String> {
    let mut texts: Vec<String> = super::SAMPLES.iter().map(|&text| text.to_owned()).collect();
    for folder in ["yaml/valid", "yaml/invalid"] {
        let Some(folder) = corpus(folder) else { continue };
        texts.extend(corpora::texts(&folder).into_iter().map(|(_, text)| text));
    }
    texts
}

#[test]
fn mutated_texts_never_panic_and_read_as_granit_reads_them() {
    let rounds = env::var("WAXSEAL_FUZZ").ok().and_then(|count| count.parse().ok());
    let seed = env::var("WAXSEAL_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let texts = seeds();
    let mut dice = Dice::new(seed.unwrap_or(1));
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut new = Vec::new();
    for _ in 0..rounds.unwrap_or(20_000) {
        let text = mutate(&texts, &mut dice);
        if let Ok(document) = Document::parse(text.clone(), Format::Yaml)
            && let Err(broken) = invariants::check(&document)
        {
            panic!("{broken}, of {text:?}");
        }
        match differences::with_granit(&text) {
            None => {}
            Some(Difference::Known(reason)) => *known.entry(reason).or_default() += 1,
            Some(Difference::New(what)) => new.push(format!("{what}, of {text:?}")),
        }
    }
    assert!(new.is_empty(), "{} new, such as\n{}", new.len(), new[..new.len().min(9)].join("\n"));
    let differing: usize = known.values().sum();
    let most = rounds.unwrap_or(20_000) / 50;
    assert!(differing <= most, "{differing} texts differ for known reasons: {known:?}");
}
