//! Comments in YAML, wherever they stand: real sops opens those that we sealed, and under a rule by
//! comments both select the same values.
//!
//! Layouts are made of maps, lists and brackets with comments, blank lines and indentations in every
//! mixture; many of them are the documents of one file, so that sops runs few times.
//! `WAXSEAL_LAYOUTS` says how many files (default 12).

use std::collections::BTreeSet;

use waxseal::document::{Document, Format, NodeKind};
use waxseal::file::EncryptedFile;
use waxseal::policy::Policy;

use crate::sops::{Sops, comment_policies, policies, roots, same};
use crate::walks::Dice;

/// Writes layouts. Keys and comments have numbers, so that each is there once.
struct Layouts {
    dice: Dice,
    text: String,
    keys: usize,
    comments: usize,
    line_break: &'static str,
    /// Comments that a rule could match, instead of numbered ones.
    marks: bool,
}

impl Layouts {
    fn pick(&mut self, from: &[usize]) -> usize {
        from[self.dice.roll(from.len())]
    }

    fn end_line(&mut self) {
        self.text.push_str(self.line_break);
    }

    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    fn blank_lines(&mut self) {
        for _ in 0..self.pick(&[0, 0, 0, 1, 1, 2]) {
            self.end_line();
        }
    }

    fn comment(&mut self) {
        self.comments += 1;
        let name = match self.marks {
            true => ["x", "y", "z"][self.dice.roll(3)].to_owned(),
            false => format!("c{}", self.comments),
        };
        self.text += &format!("# {name}");
    }

    /// Some comment lines, about in these columns, and blank lines between them.
    fn comment_lines(&mut self, columns: &[usize]) {
        for _ in 0..self.pick(&[0, 0, 0, 0, 1, 1, 2, 3]) {
            self.blank_lines();
            let column = self.pick(columns) + self.pick(&[0, 0, 0, 0, 0, 1, 2]);
            self.spaces(column);
            self.comment();
            self.end_line();
        }
        self.blank_lines();
    }

    fn line_end(&mut self) {
        if self.dice.roll(4) == 0 {
            self.text.push(' ');
            self.comment();
        }
        self.end_line();
    }

    fn scalar(&mut self, column: usize) {
        let deeper = " ".repeat(column + 2);
        match self.dice.roll(12) {
            0 => {
                self.text += " |";
                self.line_end();
                self.text += &format!("{deeper}text");
            }
            1 => self.text += " \"q\"",
            2 => self.text += &format!(" 'q{}{deeper}r'", self.line_break),
            3 => self.text += &format!(" plain{}{deeper}more", self.line_break),
            4 => {}
            5 => self.text += " !!str x",
            6 | 7 => {
                self.text.push(' ');
                self.brackets(column, 2);
            }
            8 => self.text += " !!float 2",
            _ => self.text += " v",
        }
        if self.text.ends_with("text") { self.end_line() } else { self.line_end() }
    }

    fn space_in_brackets(&mut self, column: usize) {
        match self.dice.roll(6) {
            0 | 1 => {
                self.line_end();
                self.comment_lines(&[0, 2, column + 2]);
                self.spaces(column + 1);
            }
            2 => {
                self.end_line();
                self.spaces(column + 2);
            }
            _ => self.text.push(' '),
        }
    }

    fn brackets(&mut self, column: usize, depth: usize) {
        let map = self.dice.roll(2) == 0;
        self.text.push(if map { '{' } else { '[' });
        let members = self.dice.roll(3);
        for index in 0..members {
            self.space_in_brackets(column);
            if map || self.dice.roll(6) == 0 {
                self.keys += 1;
                self.text += &format!("k{}: ", self.keys);
            }
            if depth > 0 && self.dice.roll(3) == 0 {
                self.brackets(column, depth - 1);
            } else {
                self.text.push('v');
            }
            if self.dice.roll(5) == 0 {
                self.space_in_brackets(column);
            }
            if index + 1 < members || self.dice.roll(5) == 0 {
                self.text.push(',');
            }
        }
        if self.dice.roll(2) == 0 {
            self.space_in_brackets(column);
        }
        self.text.push(if map { '}' } else { ']' });
    }

    /// A map or list; `on_line`: its first entry goes where the text is.
    fn block(&mut self, map: bool, depth: usize, on_line: bool, columns: &mut Vec<usize>) {
        let column = *columns.last().expect("its own");
        for index in 0..=self.dice.roll(3) {
            if index > 0 || !on_line {
                self.comment_lines(columns);
                self.spaces(column);
            }
            if map {
                self.keys += 1;
                self.text += &format!("k{}:", self.keys);
                self.value(depth, true, columns);
                continue;
            }
            self.text.push('-');
            match self.dice.roll(4) {
                kind @ (0 | 1) if depth > 0 => {
                    self.text.push(' ');
                    columns.push(column + 2);
                    self.block(kind == 0, depth - 1, true, columns);
                    columns.pop();
                }
                2 => self.value(depth, false, columns),
                _ => self.scalar(column),
            }
        }
    }

    fn value(&mut self, depth: usize, under_key: bool, columns: &mut Vec<usize>) {
        let column = *columns.last().expect("the one around");
        if depth == 0 || self.dice.roll(2) == 0 {
            return self.scalar(column);
        }
        self.line_end();
        let map = self.dice.roll(2) == 0;
        let level = !map && under_key && self.dice.roll(2) == 0;
        let step = if level { 0 } else { 1 + self.dice.roll(4) };
        columns.push(column + step);
        self.block(map, depth - 1, false, columns);
        columns.pop();
    }

    /// A file of so many documents.
    fn file(seed: u64, documents: usize, marks: bool) -> String {
        let line_break = if seed % 5 == 4 { "\r\n" } else { "\n" };
        let dice = Dice(seed);
        let mut layouts =
            Self { dice, text: String::new(), keys: 0, comments: 0, line_break, marks };
        for index in 0..documents {
            if index > 0 {
                layouts.text += "---";
                layouts.line_end();
            }
            layouts.comment_lines(&[0, 0, 2]);
            layouts.block(true, 3, false, &mut vec![0]);
            layouts.comment_lines(&[0, 0, 2, 4]);
        }
        layouts.text
    }
}

/// Many files of one document, which the metadata ends, and some of many.
fn files(marks: bool) -> impl Iterator<Item = (u64, String)> {
    let count = std::env::var("WAXSEAL_LAYOUTS").ok().and_then(|count| count.parse().ok());
    (0..count.unwrap_or(12)).map(move |seed| {
        let documents = if seed % 3 == 0 { 60 } else { 1 };
        (seed, Layouts::file(seed, documents, marks))
    })
}

/// The comments of a text, numbered ones and those that stayed sealed. `None`: it is no YAML, which real
/// sops prints of comments in empty brackets.
fn comments_of(text: &str) -> Option<BTreeSet<String>> {
    let doc = Document::parse(text.to_owned(), Format::Yaml).ok()?;
    let plain = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Comment);
    let owned = doc.comment_owners().into_iter().map(|(comment, _)| comment);
    Some(plain.chain(owned).map(|id| doc.comment_text(id).trim().to_owned()).collect())
}

/// At least so many of a hundred: what is not compared is not held.
#[track_caller]
fn are_most(percent: usize, [some, all]: [usize; 2]) {
    assert!(some * 100 >= all * percent, "{some} of {all}");
}

#[test]
fn sops_opens_every_comment_that_we_sealed() {
    let Some(sops) = Sops::start() else { return };
    let mut wrong = Vec::new();
    let (mut texts, mut compared) = ([0, 0], [0, 0]);
    for (seed, text) in files(false) {
        let policies = policies();
        let (policy, flags) = &policies[usize::try_from(seed).expect("small") % policies.len()];
        let ours = sops.seal(&text, Format::Yaml, policy).expect("we seal it");
        let read =
            sops.decrypt(&ours, "yaml", "yaml").unwrap_or_else(|error| panic!("{error}\n{text}"));
        // What it prints in brackets and behind keys it loses some of, sealed or not.
        let all = comments_of(&text).expect("valid");
        texts[1] += 1;
        let Some(read) = comments_of(&read) else { continue };
        texts[0] += 1;
        compared = [compared[0] + read.len(), compared[1] + all.len()];
        if !read.is_subset(&all) {
            let sealed = read.iter().filter(|comment| comment.starts_with("ENC[")).count();
            wrong.push(format!("{seed} {flags:?}: {sealed} of {} stay sealed", read.len()));
        }
        let opened = sops.open(&ours).expect("we open it");
        assert_eq!(opened.document().text(), text);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    are_most(90, texts);
    are_most(95, compared);
}

#[test]
fn we_open_every_comment_that_sops_opens() {
    let Some(sops) = Sops::start() else { return };
    let mut wrong = Vec::new();
    let (mut texts, mut compared) = ([0, 0], [0, 0]);
    for (seed, text) in files(false) {
        texts[1] += 1;
        let Some(theirs) = sops.encrypt(&text, "yaml", &[]) else { continue };
        let read = sops.decrypt(&theirs, "yaml", "yaml").expect("its own");
        let Some(read) = comments_of(&read) else { continue };
        let file = EncryptedFile::parse(theirs, Format::Yaml).expect("a file");
        let key = sops.unwrap(&file);
        let opened = match file.decrypt(&key) {
            Ok(opened) => opened,
            Err(error) => {
                wrong.push(format!("{seed}: {error}"));
                continue;
            }
        };
        let ours = comments_of(opened.document().text()).expect("valid");
        let all = comments_of(&text).expect("valid");
        texts[0] += 1;
        compared = [compared[0] + read.len(), compared[1] + all.len()];
        let missing: Vec<_> = read.iter().filter(|comment| !ours.contains(*comment)).collect();
        if missing.iter().any(|comment| !comment.starts_with("ENC[")) {
            wrong.push(format!("{seed}: {missing:?}\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    are_most(90, texts);
    are_most(94, compared);
}

/// With another value selected, the MAC would be wrong, or a token would stay.
#[test]
fn a_rule_by_comments_selects_what_sops_selects() {
    let Some(sops) = Sops::start() else { return };
    let mut wrong = Vec::new();
    let (mut all, mut by_sops, mut by_us) = (0, 0, 0);
    for (seed, text) in files(true) {
        let expect = roots(&Document::parse(text.clone(), Format::Yaml).expect("valid"));
        for (policy, flags) in comment_policies() {
            all += 1;
            match selects_the_same(&sops, &text, &policy, &flags, &expect) {
                Ok([ours, theirs]) => {
                    by_sops += usize::from(ours);
                    by_us += usize::from(theirs);
                }
                Err(error) => {
                    let shown = if text.len() < 600 { text.as_str() } else { "" };
                    wrong.push(format!("{seed} {flags:?}: {error}\n{shown}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    are_most(95, [by_sops, all]);
    are_most(69, [by_us, all]);
}

/// Whether each of the two directions could be compared: ours read by sops, theirs read by us.
fn selects_the_same(
    sops: &Sops,
    text: &str,
    policy: &Policy,
    flags: &[&str],
    expect: &[waxseal::value::Tree],
) -> Result<[bool; 2], String> {
    let ours = sops.seal(text, Format::Yaml, policy).ok_or("we do not seal it")?;
    let opened = sops.open(&ours)?;
    if opened.document().text() != text {
        return Err("we do not give it back".to_owned());
    }
    let read = sops
        .decrypt(&ours, "yaml", "yaml")
        .map_err(|error| format!("sops refuses ours: {error}\n{ours}"))?;
    // Of comments in empty brackets it prints what it cannot read.
    let read = Document::parse(read, Format::Yaml).ok();
    if read.as_ref().is_some_and(|read| !same(&roots(read), expect)) {
        return Err(format!("sops reads something else of\n{ours}"));
    }
    let ours = read.is_some();
    let Some(theirs) = sops.encrypt(text, "yaml", flags) else { return Ok([ours, false]) };
    if sops.decrypt(&theirs, "yaml", "yaml").is_err() {
        // Where it makes list items of comments, it cannot read its own.
        return Ok([ours, false]);
    }
    let file = EncryptedFile::parse(theirs, Format::Yaml).map_err(|error| error.to_string())?;
    let key = sops.unwrap(&file);
    let opened = file.decrypt(&key).map_err(|error| format!("we refuse theirs: {error}"))?;
    match same(&roots(opened.document()), expect) {
        true => Ok([ours, true]),
        false => Err("we read something else of theirs".to_owned()),
    }
}
