//! Regexes as Go reads them, made into what the `regex` crate reads alike.
//!
//! Both are RE2's children and differ in the details: Go's `\d \w \s \b` are ASCII, `\Q…\E` quotes,
//! `a**` and `(?x)` are errors, `{,3}` and `&&` are literal. So a pattern is parsed by Go's grammar
//! and written anew with every literal escaped.
//!
//! Invariants: what Go refuses is refused, but for names of Unicode classes, of which the crate knows
//! more. Only whether a pattern matches is kept, not where: groups capture nothing.

use regex::bytes::{Regex, RegexBuilder};

/// A regex is not valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{problem} (at character {} of the regex)", at + 1)]
pub struct PatternError {
    /// Where, in characters from 0.
    pub at: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// Compiles a pattern in Go's syntax.
pub(super) fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated)
        .size_limit(SIZE_LIMIT)
        // Go nests up to 1,000 deep; every class and group here is at most two levels more.
        .nest_limit(NEST_LIMIT)
        .build()
        .map_err(|_| PatternError { at: 0, problem: "the regex is too large" })
}

fn translate(pattern: &str) -> Result<String, PatternError> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut parser = Parser { chars: &chars, at: 0, out: String::with_capacity(pattern.len() * 2) };
    parser.pattern()?;
    Ok(parser.out)
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    out: String,
}

/// What stands before a repetition.
#[derive(Clone, Copy)]
enum Before {
    /// Nothing that can be repeated.
    Nothing,
    /// Something that stands for at most this many repetitions of a part of it.
    Atom(u32),
    /// A repetition; Go refuses two in a row.
    Repetition(u32),
}

impl Before {
    /// The same with nothing but flags or an empty quotation behind it: now it can be repeated.
    fn apart(self) -> Self {
        match self {
            Self::Repetition(weight) => Self::Atom(weight),
            Self::Nothing | Self::Atom(_) => self,
        }
    }

    fn weight(self) -> u32 {
        match self {
            Self::Nothing => 1,
            Self::Atom(weight) | Self::Repetition(weight) => weight,
        }
    }
}

impl Parser<'_> {
    fn pattern(&mut self) -> Result<(), PatternError> {
        // The heaviest part of each open group.
        let mut groups: Vec<u32> = vec![1];
        let mut names: Vec<String> = Vec::new();
        let mut before = Before::Nothing;
        // Where a repetition goes: behind the last atom, before the flags that follow it, since
        // `a(?i)*` repeats the a.
        let mut end = 0;
        while let Some(c) = self.peek(0) {
            let start = self.at;
            match c {
                '(' => {
                    if self.group(&mut names)? {
                        before = Before::Nothing;
                        groups.push(1);
                        if groups.len() > MAX_DEPTH {
                            return Err(error(start, "groups nest too deeply"));
                        }
                    } else {
                        before = before.apart();
                    }
                    continue;
                }
                ')' => {
                    self.at += 1;
                    let weight = groups.pop().unwrap_or(1);
                    if groups.is_empty() {
                        return Err(error(start, "a closing parenthesis without an opening one"));
                    }
                    self.out.push(')');
                    before = Before::Atom(weight);
                }
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                    before = Before::Nothing;
                    continue;
                }
                '^' | '$' | '.' => {
                    self.at += 1;
                    self.out.push(c);
                    before = Before::Atom(1);
                }
                '[' => {
                    self.class()?;
                    before = Before::Atom(1);
                }
                '*' | '+' | '?' => {
                    self.at += 1;
                    before = self.repeat(start, before, end, &c.to_string(), 1)?;
                }
                '{' => {
                    if let Some((text, max)) = self.counts()? {
                        before = self.repeat(start, before, end, &text, max)?;
                    } else {
                        self.at += 1;
                        self.literal('{');
                        before = Before::Atom(1);
                    }
                }
                '\\' => {
                    if self.backslash()? {
                        before = Before::Atom(1);
                    } else {
                        before = before.apart();
                        continue;
                    }
                }
                _ => {
                    self.at += 1;
                    self.literal(c);
                    before = Before::Atom(1);
                }
            }
            end = self.out.len();
            if let Some(heaviest) = groups.last_mut() {
                *heaviest = before.weight().max(*heaviest);
            }
        }
        if groups.len() > 1 {
            return Err(error(self.at, "a closing parenthesis is missing"));
        }
        Ok(())
    }

    /// `(…`; whether a group was opened (flags alone open none).
    fn group(&mut self, names: &mut Vec<String>) -> Result<bool, PatternError> {
        let start = self.at;
        self.at += 1;
        if self.peek(0) != Some('?') {
            // Nobody asks for captures.
            self.out.push_str("(?:");
            return Ok(true);
        }
        self.at += 1;
        let named = match (self.peek(0), self.peek(1)) {
            (Some('P'), Some('<')) => 2,
            (Some('<'), _) => 1,
            _ => 0,
        };
        if named > 0 {
            self.at += named;
            let mut name = String::new();
            loop {
                match self.next() {
                    Some('>') if !name.is_empty() => break,
                    Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                    _ => return Err(error(start, "the name of a group is not valid")),
                }
            }
            if names.contains(&name) {
                return Err(error(start, "two groups have the same name"));
            }
            names.push(name);
            self.out.push_str("(?:");
            return Ok(true);
        }
        self.flags(start)
    }

    /// `flags:` or `flags)` of `(?…`.
    fn flags(&mut self, start: usize) -> Result<bool, PatternError> {
        const PROBLEM: &str = "unknown flags or look-around, which neither sops nor waxseal has";
        let mut flags = String::new();
        let (mut minus, mut after_minus) = (false, false);
        loop {
            match self.next() {
                Some(c @ ('i' | 'm' | 's' | 'U')) => {
                    // Twice the same flag is an error to the crate and none to Go, where the last
                    // one counts; a flag that is both set and unset is unset.
                    flags.retain(|old| old != c);
                    flags.push(c);
                    after_minus = minus;
                }
                Some('-') if !minus => {
                    flags.push('-');
                    minus = true;
                }
                Some(end @ (':' | ')')) if !minus || after_minus => {
                    if end == ':' {
                        self.out.push_str(&format!("(?{flags}:"));
                    } else if !flags.is_empty() {
                        self.out.push_str(&format!("(?{flags})"));
                    }
                    return Ok(end == ':');
                }
                _ => return Err(error(start, PROBLEM)),
            }
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`, read; `None`: it is a literal brace, and nothing was read.
    fn counts(&mut self) -> Result<Option<(String, u32)>, PatternError> {
        let start = self.at;
        self.at += 1;
        let counts = self.counts_after_brace();
        let Some((min, max)) = counts else {
            self.at = start;
            return Ok(None);
        };
        let most = max.unwrap_or(min);
        if min > MAX_REPEAT || most > MAX_REPEAT || most < min {
            return Err(error(
                start,
                "a repetition count is above 1000, or the counts are swapped",
            ));
        }
        let text = match max {
            None => format!("{{{min},}}"),
            Some(max) => format!("{{{min},{max}}}"),
        };
        Ok(Some((text, most)))
    }

    fn counts_after_brace(&mut self) -> Option<(u32, Option<u32>)> {
        let min = self.number()?;
        let max = if self.peek(0) == Some(',') {
            self.at += 1;
            if self.peek(0) == Some('}') { None } else { Some(self.number()?) }
        } else {
            Some(min)
        };
        (self.next() == Some('}')).then_some((min, max))
    }

    /// A decimal number without leading zeros; one that is too large is some number above the limit.
    fn number(&mut self) -> Option<u32> {
        let start = self.at;
        let mut number: u32 = 0;
        while let Some(digit) = self.peek(0).filter(char::is_ascii_digit) {
            number = number.saturating_mul(10).saturating_add(digit.to_digit(10)?);
            self.at += 1;
        }
        let leading_zero = self.chars[start..].first() == Some(&'0') && self.at > start + 1;
        (self.at > start && !leading_zero).then_some(number)
    }

    fn repeat(
        &mut self,
        start: usize,
        before: Before,
        end: usize,
        operator: &str,
        max: u32,
    ) -> Result<Before, PatternError> {
        let weight = match before {
            Before::Nothing => return Err(error(start, "nothing to repeat")),
            Before::Repetition(_) => return Err(error(start, "two repetitions in a row")),
            Before::Atom(weight) => weight.saturating_mul(max),
        };
        if weight > MAX_REPEAT {
            return Err(error(start, "nested repetitions count to more than 1000"));
        }
        self.out.insert_str(end, operator);
        if self.peek(0) == Some('?') {
            // Which match is found first is nobody's concern.
            self.at += 1;
        }
        Ok(Before::Repetition(weight))
    }

    /// `\…` outside a class; whether it stands for something that can be repeated.
    fn backslash(&mut self) -> Result<bool, PatternError> {
        match self.peek(1) {
            Some('A') => self.out.push_str(r"\A"),
            Some('z') => self.out.push_str(r"\z"),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('B') => self.out.push_str(r"(?-u:\B)"),
            Some('Q') => {
                self.at += 2;
                let mut any = false;
                while let Some(c) = self.next() {
                    if c == '\\' && self.peek(0) == Some('E') {
                        self.at += 1;
                        break;
                    }
                    self.literal(c);
                    any = true;
                }
                return Ok(any);
            }
            Some('p' | 'P') => {
                let class = self.unicode_class()?;
                self.out.push_str(&class);
                return Ok(true);
            }
            Some(c) => {
                if let Some((set, negated)) = perl_class(c) {
                    self.at += 2;
                    self.out.push_str(if negated { "[^" } else { "[" });
                    self.out.push_str(set);
                    self.out.push(']');
                } else {
                    let c = self.escape()?;
                    self.code_point(c);
                }
                return Ok(true);
            }
            None => return Err(error(self.at, "a backslash at the end")),
        }
        self.at += 2;
        Ok(true)
    }

    /// `[…]`.
    fn class(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        self.at += 1;
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let at = self.at;
            match self.peek(0) {
                None => return Err(error(start, "a closing bracket is missing")),
                Some(']') if !first => {
                    self.at += 1;
                    self.out.push(']');
                    return Ok(());
                }
                Some('[') if self.peek(1) == Some(':') && self.posix_class(at)? => {}
                Some('\\') if matches!(self.peek(1), Some('p' | 'P')) => {
                    let class = self.unicode_class()?;
                    self.out.push_str(&class);
                }
                Some('\\') if self.peek(1).and_then(perl_class).is_some() => {
                    let (set, negated) = self.peek(1).and_then(perl_class).unwrap_or(("", false));
                    self.at += 2;
                    if negated {
                        self.out.push_str(&format!("[^{set}]"));
                    } else {
                        self.out.push_str(set);
                    }
                }
                Some(_) => self.range(at)?,
            }
            first = false;
        }
    }

    /// One character, or a range of them, in a class.
    fn range(&mut self, start: usize) -> Result<(), PatternError> {
        let low = self.class_char()?;
        let high = if self.peek(0) == Some('-') && !matches!(self.peek(1), Some(']') | None) {
            self.at += 1;
            self.class_char()?
        } else {
            low
        };
        if high < low {
            return Err(error(start, "a range in a class is swapped"));
        }
        // No text holds the code points between: what of the range lies there matches nothing.
        let low = if SURROGATES.contains(&low) { SURROGATES.end() + 1 } else { low };
        let high = if SURROGATES.contains(&high) { SURROGATES.start() - 1 } else { high };
        if low <= high {
            self.out.push_str(&format!(r"\x{{{low:X}}}-\x{{{high:X}}}"));
        } else {
            self.out.push_str(EMPTY_CLASS);
        }
        Ok(())
    }

    fn class_char(&mut self) -> Result<u32, PatternError> {
        match self.peek(0) {
            Some('\\') => self.escape(),
            Some(c) => {
                self.at += 1;
                Ok(u32::from(c))
            }
            None => Err(error(self.at, "a closing bracket is missing")),
        }
    }

    /// `[:name:]`; `false`, and nothing read, if there is no `:]` behind it.
    fn posix_class(&mut self, start: usize) -> Result<bool, PatternError> {
        let rest = &self.chars[start + 2..];
        let Some(len) = rest.windows(2).position(|pair| pair == [':', ']']) else {
            return Ok(false);
        };
        let name: String = rest[..len].iter().collect();
        let plain = name.strip_prefix('^').unwrap_or(&name);
        if !POSIX_CLASSES.contains(&plain) {
            return Err(error(start, "there is no such class"));
        }
        self.at = start + len + 4;
        self.out.push_str(&format!("[:{name}:]"));
        Ok(true)
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`, `\P…`.
    fn unicode_class(&mut self) -> Result<String, PatternError> {
        let start = self.at;
        let problem = error(start, "there is no such Unicode class");
        let mut negated = self.peek(1) == Some('P');
        self.at += 2;
        let mut name = String::new();
        match self.next() {
            Some('{') => loop {
                match self.next() {
                    Some('}') => break,
                    Some(c) => name.push(c),
                    None => return Err(problem),
                }
            },
            Some(c) => name.push(c),
            None => return Err(problem),
        }
        let plain = match name.strip_prefix('^') {
            Some(rest) => {
                negated = !negated;
                rest
            }
            None => &name,
        };
        if !plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(problem);
        }
        let class = format!(r"\{}{{{plain}}}", if negated { 'P' } else { 'p' });
        if Regex::new(&class).is_err() {
            return Err(problem);
        }
        Ok(class)
    }

    /// `\n`, `\x41`, `\.` …: one character.
    fn escape(&mut self) -> Result<u32, PatternError> {
        let start = self.at;
        let problem = error(start, "there is no such escape");
        self.at += 1;
        let c = self.next().ok_or(error(start, "a backslash at the end"))?;
        Ok(match c {
            '1'..='7' if !self.peek(0).is_some_and(|c| c.is_digit(8)) => return Err(problem),
            '0'..='7' => {
                let mut value = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + digit;
                    self.at += 1;
                }
                value
            }
            'x' => {
                let braced = self.peek(0) == Some('{');
                if braced {
                    self.at += 1;
                }
                let (mut value, mut digits) = (0_u32, 0);
                while let Some(digit) = self.peek(0).and_then(|c| c.to_digit(16)) {
                    if !braced && digits == 2 {
                        break;
                    }
                    value = value.saturating_mul(16).saturating_add(digit);
                    digits += 1;
                    self.at += 1;
                }
                let closed = if braced { self.next() == Some('}') } else { digits == 2 };
                if !closed || digits == 0 || value > u32::from(char::MAX) {
                    return Err(problem);
                }
                value
            }
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            _ => return Err(problem),
        })
    }

    fn literal(&mut self, c: char) {
        self.code_point(u32::from(c));
    }

    fn code_point(&mut self, c: u32) {
        match char::from_u32(c) {
            Some(c) if c.is_ascii_alphanumeric() => self.out.push(c),
            Some(_) => self.out.push_str(&format!(r"\x{{{c:X}}}")),
            None => self.out.push_str(EMPTY_CLASS),
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }
}

/// The characters of `\d`, `\w`, `\s`, and whether all others are meant.
fn perl_class(c: char) -> Option<(&'static str, bool)> {
    let set = match c.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\x0C\r\x20",
        _ => return None,
    };
    Some((set, c.is_ascii_uppercase()))
}

fn error(at: usize, problem: &'static str) -> PatternError {
    PatternError { at, problem }
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Code points that no text holds.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// Matches nothing, in a class and outside.
const EMPTY_CLASS: &str = "[a&&b]";

/// Go's limit of a repetition count, nested ones multiplied.
const MAX_REPEAT: u32 = 1000;

/// Go's limit of nesting.
const MAX_DEPTH: usize = 1000;

/// A group, its repetition and a concatenation count each.
const NEST_LIMIT: u32 = 4000;

/// Memory for a compiled regex. Go has another limit; what lies between is out of proportion.
const SIZE_LIMIT: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::compile;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let regex = compile(pattern).expect(pattern);
        for text in matching {
            assert!(regex.is_match(text.as_bytes()), "{pattern} matches {text}");
        }
        for text in other {
            assert!(!regex.is_match(text.as_bytes()), "{pattern} does not match {text}");
        }
    }

    #[test]
    fn regexes_are_read_as_go_reads_them() {
        check("^(data|stringData)$", &["data", "stringData"], &["metadata", "data2"]);
        check(r"^\d+$", &["12"], &["١٢", ""]);
        check(r"^\w+$", &["a_1"], &["é"]);
        check(r"^[\d\s]+$", &["1 \t\n\r\u{c}2"], &["\u{b}", "\u{a0}", "١"]);
        check(r"^[^\w]$", &["é", "-"], &["a"]);
        check(r"^[\W]$", &["é", "-"], &["a"]);
        check(r"^[\D1]$", &["é", "1"], &["2"]);
        check(r"^\S$", &["é", "\u{a0}"], &[" "]);
        check(r"\bkey\b", &["a key", "ékey"], &["akey", "key_"]);
        check(r"a\Bb", &["ab"], &["a-b"]);
        check(r"^\Qa.b*\E+$", &["a.b*", "a.b**"], &["aab", "a.b"]);
        check(r"\Q(", &["("], &["a"]);
        check(r"^\pN$", &["1", "١"], &["a"]);
        check(r"^[\p{Greek}\PL]+$", &["α1"], &["a"]);
        check(r"^\p{^Greek}$", &["a"], &["α"]);
        check(r"^a\z", &["a"], &["a\n"]);
        check("^a$", &["a"], &["a\n", "b\na"]);
        check("(?m)^a$", &["b\na\nc"], &["ba"]);
        check("^.$", &["é"], &["\n", "ab"]);
        check("(?s)^.$", &["\n"], &[]);
        check("(?i)straße", &["STRAßE"], &["STRASSE"]);
        check("(?i:A)b", &["ab"], &["aB"]);
        check("(?P<name>a)(?<other>b)", &["ab"], &[]);
        check("(?U)a+?", &["a"], &[]);
        check("(?i-s)a", &["A"], &[]);
        check("(?)a", &["a"], &[]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[^]a]", &["b"], &["]", "a"]);
        check("^[a&&b]$", &["a", "&", "b"], &["c"]);
        check("^[a-]$", &["a", "-"], &["b"]);
        check("^[+--]$", &["+", ",", "-"], &["."]);
        check("^[[:alpha:][:^digit:]]$", &["a", "-"], &["1"]);
        check("^[[:]$", &["[", ":"], &["]"]);
        check("^[[a]$", &["[", "a"], &["]"]);
        check(r"^[\x41-\x{43}\104]$", &["A", "B", "C", "D"], &["E"]);
        check(r"^[\x{D700}-\x{DFFF}]$", &["\u{d7ff}"], &["a"]);
        check(r"\x{D800}", &[], &["a", ""]);
        check(r"^\_\-\ $", &["_- "], &[]);
        check("^a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]);
        check("^a{,3}$", &["a{,3}"], &["a"]);
        check("^a{01}$", &["a{01}"], &["a"]);
        check("^{$", &["{"], &[]);
        check("^a{2}?$", &["aa"], &["a"]);
        check("a||b", &["", "x"], &[]);
        check("^*a", &["ba"], &[]);
        check("# x", &["# x"], &["#x"]);
        check("^A(?i)*b$", &["AAB", "b"], &["aB"]);
        check(r"^a*\Q\E*$", &["aa"], &["b"]);
        check("^(a{2}){500}$", &[], &["a"]);
    }

    #[track_caller]
    fn refused(pattern: &str, at: usize) {
        assert_eq!(compile(pattern).map_err(|error| error.at).err(), Some(at), "{pattern}");
    }

    #[test]
    fn what_go_refuses_is_refused() {
        refused("(a", 2);
        refused("a)", 1);
        refused("a(?=b)", 1);
        refused("(?<!a)", 0);
        refused("(?x)a", 0);
        refused("(?i-)a", 0);
        refused("(?P<>a)", 0);
        refused("(?P<a>b)(?P<a>c)", 8);
        refused("*a", 0);
        refused("a|*", 2);
        refused("a**", 2);
        refused("a+{2}", 2);
        refused("a{1001}", 1);
        refused("a{3,2}", 1);
        refused("(a{50}){50}", 7);
        refused("[a", 0);
        refused("[]", 0);
        refused("[b-a]", 1);
        refused(r"[a-\d]", 3);
        refused("[[:foo:]]", 1);
        refused(r"\Z", 0);
        refused(r"\C", 0);
        refused(r"\1", 0);
        refused(r"\8", 0);
        refused(r"\x4", 0);
        refused(r"\x{110000}", 0);
        refused(r"\p{Nonsense}", 0);
        refused(r"é\", 1);
        refused(&"(".repeat(2000), 999);
    }

    #[test]
    fn deep_groups_are_read() {
        check(&format!("{}a{}", "(".repeat(990), ")".repeat(990)), &["a"], &["b"]);
    }
}
