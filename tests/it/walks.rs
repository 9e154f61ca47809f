//! Random walks: commands of real sops and ours, in any order, over one file. After each step both
//! read the same, and the seal says what the table of `docs/format.md` says.
//!
//! `WAXSEAL_WALKS` says how many walks (default 24).

use std::time::{Duration, SystemTime};

use waxseal::document::{Document, Format};
use waxseal::file::{
    Consent, DecryptedFile, EncryptOptions, EncryptedFile, Nonces, Outcome, RotateOptions, Verdict,
    Vouch, encrypt, set, unset,
};
use waxseal::path::{KeyPath, Step};
use waxseal::policy::Policy;
use waxseal::secret::DataKey;
use waxseal::timestamp::Timestamp;
use waxseal::value::{Scalar, ScalarType, Tree};

use crate::properties::samples;
use crate::sops::{Sops, comment_policies, policies, roots, same, sample};

/// Numbers that are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        usize::try_from(mixed % u64::try_from(sides).expect("small")).expect("small")
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.roll(from.len())])
    }
}

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    SopsSet,
    SopsSetAgain,
    SopsUnset,
    SopsEdit,
    SopsRotate,
    SopsGroupsAdd,
    SopsGroupsDelete,
    SopsUpdatekeys,
    SopsFromPlain,
    Set,
    Unset,
    Edit,
    Rotate,
    Updatekeys,
    Reseal,
    FromPlain,
    NextSecond,
}

const MOVES: [Move; 17] = [
    Move::SopsSet,
    Move::SopsSetAgain,
    Move::SopsUnset,
    Move::SopsEdit,
    Move::SopsRotate,
    Move::SopsGroupsAdd,
    Move::SopsGroupsDelete,
    Move::SopsUpdatekeys,
    Move::SopsFromPlain,
    Move::Set,
    Move::Unset,
    Move::Edit,
    Move::Rotate,
    Move::Updatekeys,
    Move::Reseal,
    Move::FromPlain,
    Move::NextSecond,
];

impl Move {
    fn is_by_sops(self) -> bool {
        format!("{self:?}").starts_with("Sops")
    }

    /// Whether sops writes a new `mac` with it.
    fn writes_a_mac(self) -> bool {
        use Move::{SopsEdit, SopsFromPlain, SopsRotate, SopsSet, SopsSetAgain, SopsUnset};
        [SopsSet, SopsSetAgain, SopsUnset, SopsEdit, SopsRotate, SopsFromPlain].contains(&self)
    }

    /// Whether values stay as they are.
    fn keeps_values(self) -> bool {
        use Move::{Edit, Set, SopsEdit, SopsSet, SopsSetAgain, SopsUnset, Unset};
        ![SopsSet, SopsSetAgain, SopsUnset, SopsEdit, Set, Unset, Edit].contains(&self)
    }
}

/// The file on its way.
struct Walk<'a> {
    sops: &'a Sops,
    dice: Dice,
    format: Format,
    policy: Policy,
    flags: Vec<&'static str>,
    text: String,
    key: DataKey,
    trail: Vec<String>,
    steps: usize,
}

/// How a step ended.
enum Step1 {
    /// As it should.
    Done,
    /// The command could not do it, and left the file as it was.
    Refused,
    /// sops does not read what it has written itself: nothing more can be learned here.
    LostBySops,
}

fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp::from_unix(i64::try_from(since.as_secs()).expect("in range")).expect("in range")
}

fn path_text(path: &KeyPath) -> String {
    path.to_string()
}

/// The paths of all scalars under string keys.
fn paths(tree: &Tree) -> Vec<KeyPath> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), tree)];
    while let Some((at, tree)) = open.pop() {
        let below = |step| at.iter().cloned().chain([step]).collect::<Vec<_>>();
        match tree {
            Tree::Map(map) => {
                for (key, value) in map.iter().filter(|(key, _)| !key.contains(['"', '\\', '\n'])) {
                    open.push((below(Step::Key(key.clone())), value));
                }
            }
            Tree::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    open.push((below(Step::Index(index)), value));
                }
            }
            Tree::Scalar(_) => found.push(KeyPath(at)),
        }
    }
    found
}

fn at<'t>(tree: &'t Tree, path: &KeyPath) -> Option<&'t Tree> {
    path.0.iter().try_fold(tree, |tree, step| match (step, tree) {
        (Step::Key(key), Tree::Map(map)) => {
            map.iter().find(|(name, _)| name == key).map(|(_, value)| value)
        }
        (Step::Index(index), Tree::List(list)) => list.get(*index),
        _ => None,
    })
}

const VALUES: [&str; 8] = [
    "\"new\"",
    "\"two\\nlines\"",
    "true",
    "7",
    "1.5",
    "\"\"",
    "[\"a\", {\"b\": 1}]",
    "{\"m\": {}}",
];

fn value(json: &str) -> Tree {
    let doc = Document::parse(format!("{{\"v\": {json}}}"), Format::Json).expect("JSON");
    let root = &roots(&doc)[0];
    // sops takes a bare number for a float.
    match at(root, &KeyPath(vec![Step::Key("v".to_owned())])).expect("there") {
        Tree::Scalar(scalar) if scalar.kind == ScalarType::Int => {
            Tree::Scalar(Scalar::float(scalar.text().expect("digits").parse().expect("a number")))
        }
        tree => tree.clone(),
    }
}

impl Walk<'_> {
    fn suffix(&self) -> &'static str {
        self.format.name()
    }

    fn parse(&self) -> Result<EncryptedFile, String> {
        EncryptedFile::parse(self.text.clone(), self.format)
            .map_err(|error| format!("does not parse: {error}"))
    }

    fn open(&self) -> Result<DecryptedFile, String> {
        self.parse()?.decrypt(&self.key).map_err(|error| format!("does not open: {error}"))
    }

    /// Both read the file, and read the same.
    fn read(&self) -> Result<(Vec<Tree>, Outcome), String> {
        let theirs = self
            .sops
            .decrypt(&self.text, self.suffix(), self.suffix())
            .map_err(|error| format!("sops does not read it: {error}"))?;
        let ours = self.open()?;
        let theirs = Document::parse(theirs, self.format)
            .map_err(|error| format!("what sops decrypts does not parse: {error}"))?;
        if !same(&roots(ours.document()), &roots(&theirs)) {
            return Err(format!(
                "sops reads\n{}\nand we\n{}",
                theirs.text(),
                ours.document().text()
            ));
        }
        Ok((roots(ours.document()), ours.outcome()))
    }

    fn groups(&self) -> usize {
        self.parse().map_or(1, |file| file.metadata().groups().len())
    }

    /// One step, and all that must hold behind it.
    fn step(&mut self, step: Move) -> Result<Step1, String> {
        let (tree, before) = self.read()?;
        let changed = match self.act(step, &tree[0]) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(Step1::Refused),
            Err(error) => return Err(format!("{step:?}: {error}")),
        };
        self.trail.push(format!("{step:?}"));
        let untouched = changed == self.text;
        self.text = changed;
        if step.is_by_sops() && self.sops.decrypt(&self.text, self.suffix(), self.suffix()).is_err()
        {
            return Ok(Step1::LostBySops);
        }
        let (after, outcome) = self.read().map_err(|error| format!("{step:?}: {error}"))?;
        if step.keeps_values() && !step.is_by_sops() && !same(&tree, &after) {
            return Err(format!("{step:?} changed values"));
        }
        if untouched {
            return Ok(Step1::Done);
        }
        let expected = expected(step, before, outcome);
        if !expected {
            return Err(format!("{step:?}: {before:?} became {outcome:?}"));
        }
        Ok(Step1::Done)
    }

    /// The file after the step; none if the command refuses.
    fn act(&mut self, step: Move, tree: &Tree) -> Result<Option<String>, String> {
        let suffix = self.suffix();
        let known = paths(tree);
        let other = self.sops.recipients[1].clone();
        Ok(match step {
            Move::SopsSet | Move::SopsSetAgain => {
                let path = self.path(&known, step == Move::SopsSet);
                let value = match at(tree, &path) {
                    Some(Tree::Scalar(scalar)) if step == Move::SopsSetAgain => {
                        // The value that stands there, if it is a text.
                        let text = scalar.text().unwrap_or_default();
                        if scalar.kind != ScalarType::Str || text.contains(['"', '\\', '\n']) {
                            return Ok(None);
                        }
                        format!("\"{text}\"")
                    }
                    _ => (*self.dice.pick(&VALUES).expect("some")).to_owned(),
                };
                let after = [path_text(&path), value];
                let after: Vec<&str> = after.iter().map(String::as_str).collect();
                self.sops.change(&self.text, suffix, &["set"], &after).ok()
            }
            Move::SopsUnset => {
                let Some(path) = self.dice.pick(&known) else { return Ok(None) };
                self.sops.change(&self.text, suffix, &["unset"], &[&path_text(path)]).ok()
            }
            Move::SopsEdit => {
                // A key that stands twice we refuse, as designed.
                let name = format!("edited{}", self.trail.len());
                let script = match (self.format, self.dice.roll(3)) {
                    (Format::Json, _) => format!("sed -i 's/^{{/{{\"{name}\": \"x\",/' \"$1\""),
                    (_, 0) => format!("printf '# a comment\n{name}: x\n' >> \"$1\""),
                    (_, 1) => "sed -i '1i # above\n' \"$1\"; sed -i 's/one/1/' \"$1\"".to_owned(),
                    (_, _) => {
                        format!("printf '{name}:\n    # y\n    - 1 # x\n    - a: b\n' >> \"$1\"")
                    }
                };
                self.sops.edit(&self.text, suffix, &script).ok()
            }
            Move::SopsRotate => {
                if self.groups() > 1 {
                    return Ok(None);
                }
                let rotated = self.sops.change(&self.text, suffix, &["rotate", "-i"], &[]);
                let Ok(rotated) = rotated else { return Ok(None) };
                let file = EncryptedFile::parse(rotated.clone(), self.format)
                    .map_err(|error| format!("does not parse: {error}\n{rotated}"))?;
                self.key = self.sops.unwrap(&file);
                Some(rotated)
            }
            Move::SopsGroupsAdd => {
                if self.groups() > 2 {
                    return Ok(None);
                }
                let words = ["groups", "add", "--in-place", "--age", &other, "--file"];
                self.sops.change(&self.text, suffix, &words, &[]).ok()
            }
            Move::SopsGroupsDelete => {
                if self.groups() < 2 {
                    return Ok(None);
                }
                let words = ["groups", "delete", "--in-place", "--file"];
                self.sops.change(&self.text, suffix, &words, &["0"]).ok()
            }
            Move::SopsUpdatekeys => {
                let both = self.dice.roll(2) == 0;
                let names = if both { self.sops.recipients.join(",") } else { other };
                let config = format!("creation_rules:\n    - age: {names}\n");
                let config = self.sops.write("rules.yaml", &config).display().to_string();
                let words = ["--config", &config, "updatekeys", "-y"];
                self.sops.change(&self.text, suffix, &words, &[]).ok()
            }
            Move::SopsFromPlain => {
                let plain = self.sops.decrypt(&self.text, suffix, suffix)?;
                let Some(sealed) = self.sops.encrypt(&plain, suffix, &self.flags) else {
                    return Ok(None);
                };
                let file = EncryptedFile::parse(sealed.clone(), self.format)
                    .map_err(|error| format!("does not parse: {error}\n{sealed}"))?;
                self.key = self.sops.unwrap(&file);
                Some(sealed)
            }
            Move::Set => {
                let opened = self.open()?;
                let path = self.path(&known, true);
                let value = value(self.dice.pick(&VALUES).expect("some"));
                let Ok(text) = set(opened.document(), &path, &value) else { return Ok(None) };
                Some(self.reencrypt(&opened, text)?)
            }
            Move::Unset => {
                let opened = self.open()?;
                let Some(path) = self.dice.pick(&known) else { return Ok(None) };
                let Ok(text) = unset(opened.document(), path) else { return Ok(None) };
                Some(self.reencrypt(&opened, text)?)
            }
            Move::Edit => {
                let opened = self.open()?;
                let mut text = opened.document().text().to_owned();
                if self.format == Format::Json {
                    text = text.replacen('{', "{\"written\": [1.0, \"x\"],", 1);
                } else if roots(opened.document()).len() == 1
                    && opened.document().text().ends_with('\n')
                {
                    text += &format!("# x\nwritten{}: 0x1F # y\n", self.trail.len());
                } else {
                    text = format!("# above\n{text}");
                }
                if Document::parse(text.clone(), self.format)
                    .is_ok_and(|doc| doc.duplicate_key().is_none())
                {
                    Some(self.reencrypt(&opened, text)?)
                } else {
                    None
                }
            }
            Move::Rotate | Move::Reseal => {
                if self.groups() > 1 {
                    return Ok(None);
                }
                let opened = self.open()?;
                let key = DataKey::generate().expect("random");
                let recipients = &self.sops.recipients[..1 + self.dice.roll(2)];
                let options = RotateOptions {
                    groups: self.sops.wrap(&key, recipients),
                    recipients_are_known: step == Move::Reseal,
                    text_is_reviewed: step == Move::Reseal,
                    nonces: Nonces::Derived,
                    now: clock(),
                };
                let text = opened.rotate(&key, &options).map_err(|error| error.to_string())?;
                self.key = key;
                Some(text)
            }
            Move::Updatekeys => {
                let opened = self.open()?;
                let recipients = &self.sops.recipients[..1 + self.dice.roll(2)];
                let groups = self.sops.wrap(&self.key, recipients);
                Some(opened.with_recipients(groups, 0).map_err(|error| error.to_string())?)
            }
            Move::FromPlain => {
                let text = self.open()?.document().text().to_owned();
                let options = EncryptOptions {
                    vouch_for_recipients: true,
                    policy: &self.policy,
                    groups: self.sops.wrap(&self.key, &self.sops.recipients[..1]),
                    shamir_threshold: 0,
                    nonces: Nonces::Derived,
                    now: clock(),
                };
                let sealed = encrypt(text, self.format, &self.key, &options);
                Some(sealed.map_err(|error| error.to_string())?)
            }
            Move::NextSecond => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let past = now.expect("after 1970").subsec_millis();
                std::thread::sleep(Duration::from_millis(u64::from(1001 - past)));
                Some(self.text.clone())
            }
        })
    }

    /// A path that is there, or, with `new`, sometimes one that is not.
    fn path(&mut self, known: &[KeyPath], new: bool) -> KeyPath {
        match self.dice.pick(known) {
            Some(path) if !new || self.dice.roll(3) > 0 => path.clone(),
            _ => KeyPath(vec![Step::Key(format!("new{}", self.dice.roll(9)))]),
        }
    }

    fn reencrypt(&self, opened: &DecryptedFile, text: String) -> Result<String, String> {
        opened
            .reencrypt(text, Nonces::Derived, clock(), Consent::AsBefore)
            .map_err(|error| error.to_string())
    }
}

/// Whether the table says that a step leads from one outcome to the other.
fn expected(step: Move, before: Outcome, after: Outcome) -> bool {
    let kept = |was: Vouch, is: Vouch, marked: bool| match (marked, was) {
        (true, Vouch::Good) => is == Vouch::Good,
        (true, Vouch::Bad) => is != Vouch::Good,
        (true, Vouch::Zero) | (false, _) => is == Vouch::Zero,
    };
    if step.writes_a_mac() {
        return after.verdict() == Verdict::Sops;
    }
    match step {
        Move::SopsGroupsAdd | Move::SopsGroupsDelete | Move::SopsUpdatekeys => {
            if !before.marked {
                return after.verdict() == Verdict::Sops;
            }
            // The list of recipients can come to be what it was.
            after.marked
                && after.tree
                && (before.recipients != Vouch::Zero || after.recipients == Vouch::Zero)
        }
        Move::Set | Move::Unset | Move::Edit => {
            let text = kept(before.text, after.text, before.marked);
            // A text that was changed is not vouched for again.
            let text = text && (before.text_is_good() || after.text == Vouch::Zero);
            after.marked
                && after.tree
                && text
                && kept(before.recipients, after.recipients, before.marked)
        }
        Move::Rotate => {
            let good = before.text_is_good();
            after.marked
                && after.tree
                && after.text == if good { Vouch::Good } else { Vouch::Zero }
                && after.recipients == Vouch::Zero
        }
        Move::Updatekeys if before.marked => {
            after.marked
                && after.tree
                && after.recipients == Vouch::Good
                && after.text == before.text
        }
        Move::Updatekeys => after.verdict() == Verdict::Sops,
        Move::Reseal | Move::FromPlain => after.verdict() == Verdict::Sealed,
        Move::NextSecond => after == before,
        _ => true,
    }
}

/// Layouts, types and styles in small.
const DOCUMENTS: [&str; 18] = [
    "---\n---\na: one\n",
    "? |\n    block key\n: - one # inline\n  - two\nl:\n- # c\n  - x\n  - # d\n    - y\n",
    "a: one\nend_unencrypted: |+\n    text",
    "a: one\nend_unencrypted: |+\n   ",
    "a: one\nb: 2\nc: 1.50\nd: true\ne: null\nf: \"\"\ng: 2024-01-02\nh: 0x1F\ni: 1e3\n",
    "# head\n\na: one # x\n# between\nb:\n    # inner\n    c: two\n    # last\nd: [1, two, {e: three}]\n",
    "l:\n    - one\n    # in a list\n    - k: two # y\n      m: three\n    - [a, b]\n    -\n",
    "x: &a\n    p: one\n    q: &b two\ny: *a\nz: *b\nm:\n    <<: *a\n    r: three\n",
    "t: |\n    two\n    lines\nf: >-\n    folded\n    text\n\nk: |+\n    keep\n\ns: 'it''s'\nd: \"\\u00e9\\n\"\n",
    "a: one\n---\n# second\nb: two\n---\nc: [1]\n",
    "---\na: 1\n...\n---\nb: 2\n",
    "empty: {}\nlist: []\nnest: {a: {}, b: [[], [[]]]}\nnull1: ~\nnull2:\n",
    "a: one\r\nb:\r\n    c: two\r\n",
    "\u{feff}a: one\nb: two\n",
    "key with space: v\n\"quoted: key\": v\n? long\n: v\nümlaut: ß\nemoji: 😀\n",
    "a_unencrypted: one\nb:\n    c_unencrypted: {d: 1.0, e: -0.5}\n    ee: x\n",
    "time: 2024-01-02T03:04:05.5Z\nyes: on\nno: off\noct: 017\nbig: 1e+30\nfrac: 1.10\n",
    "t: !!str 12\nu: !custom x\nv: !!binary aGVsbG8=\nw: !!float 3\nx: ! 12\n",
];

const JSON: [&str; 4] = [
    "{\"a\": \"one\", \"b\": [1, 2.50, true, null, \"\"], \"c\": {}, \"d\": {\"e\": \"\\u00e9\"}}\n",
    "{\n\t\"a\": 1e3,\n\t\"list\": [[], {}, [{\"x\": -0}]]\n}",
    "{\"u\": \"</script>\", \"surrogate\": \"\\ud83d\\ude00\", \"n\": 12345678901234567890}\n",
    "{\"a_unencrypted\": {\"e\": 1.0}, \"ee\": \"x\"}\n",
];

fn all_documents(walks: usize, seed: u8) -> Vec<(Format, String)> {
    let of = |format: Format, texts: Vec<String>| texts.into_iter().map(move |text| (format, text));
    let corpus = |folder, suffix, step| {
        sample(folder, suffix, step).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    let own: Vec<_> = of(Format::Yaml, DOCUMENTS.map(str::to_owned).to_vec())
        .chain(of(Format::Json, JSON.map(str::to_owned).to_vec()))
        .collect();
    let share = walks / 4 + 1;
    let generated = of(Format::Yaml, samples(share, seed, Format::Yaml))
        .chain(of(Format::Json, samples(share / 2, seed, Format::Json)));
    let step = |count: usize| 2900 / count.max(1) + 1;
    let found = of(Format::Yaml, corpus("real/yaml", "", step(share)))
        .chain(of(Format::Yaml, corpus("yaml/valid", ".yaml", step(share) / 5 + 1)))
        .chain(of(Format::Json, corpus("real/json", ".json", step(share / 2))));
    own.into_iter().chain(generated).chain(found).collect()
}

/// Walks over many documents; gives what went wrong, and what was done.
fn walk_all(walks: usize, seed: u8) -> (Vec<String>, String) {
    let Some(sops) = Sops::start() else { return (Vec::new(), String::new()) };
    let documents = all_documents(walks, seed);
    let rules: Vec<_> = policies().into_iter().chain(comment_policies()).collect();
    let (mut wrong, mut steps, mut refused, mut lost, mut done) = (Vec::new(), 0, 0, 0, 0);
    for index in 0..walks {
        let mut dice = Dice((u64::from(seed) << 32) + index as u64);
        let own = DOCUMENTS.len() + JSON.len();
        let pick = if index < own { index } else { dice.roll(documents.len()) };
        let (format, text) = &documents[pick];
        let (policy, flags) = dice.pick(&rules).expect("some").clone();
        let Some(theirs) = sops.encrypt(text, format.name(), &flags) else { continue };
        let ours = sops.seal(text, *format, &policy);
        let Some(ours) = ours else {
            wrong.push(format!("we do not seal\n{text}"));
            continue;
        };
        let start = if dice.roll(2) == 0 { ours } else { theirs };
        let Ok(file) = EncryptedFile::parse(start.clone(), *format) else {
            wrong.push(format!("does not parse\n{start}"));
            continue;
        };
        let key = sops.unwrap(&file);
        if sops.decrypt(&start, format.name(), format.name()).is_err() {
            // A comment rule of which sops cannot read its own file.
            continue;
        }
        let mut walk = Walk {
            sops: &sops,
            dice,
            format: *format,
            policy,
            flags,
            text: start,
            key,
            trail: Vec::new(),
            steps: 0,
        };
        done += 1;
        while walk.steps < 8 {
            walk.steps += 1;
            let mut step = *walk.dice.pick(&MOVES).expect("some");
            // Waiting is dear.
            if step == Move::NextSecond && walk.dice.roll(6) > 0 {
                step = Move::SopsSetAgain;
            }
            match walk.step(step) {
                Ok(Step1::Done) => steps += 1,
                Ok(Step1::Refused) => refused += 1,
                Ok(Step1::LostBySops) => {
                    lost += 1;
                    break;
                }
                Err(error) => {
                    wrong.push(format!(
                        "walk {index} (rule {} {}): {error}\nafter {:?} from\n{text}\nthe file\n{}",
                        walk.policy.rule().field(),
                        walk.policy.rule().text(),
                        walk.trail,
                        walk.text,
                    ));
                    break;
                }
            }
        }
    }
    let report = format!("{done} walks, {steps} steps, {refused} refused, {lost} lost by sops");
    (wrong, report)
}

#[test]
#[expect(clippy::print_stdout, reason = "what a large run did, shown with --nocapture")]
fn no_mixture_of_commands_is_refused_where_sops_goes_on() {
    let walks = std::env::var("WAXSEAL_WALKS").ok().and_then(|walks| walks.parse().ok());
    let (wrong, report) = walk_all(walks.unwrap_or(24), 7);
    println!("{report}");
    assert!(wrong.is_empty(), "{} wrong ({report}):\n{}", wrong.len(), wrong.join("\n"));
}
