//! What is done to a file without its key.

use std::collections::HashSet;

use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::path::KeyPath;

use super::base::Base;

/// Everything that is done to one base, each with a name.
pub(super) fn mutants(base: &Base, salt: usize) -> Vec<(String, String)> {
    let mut out = Vec::new();
    lines(base, salt, &mut out);
    nodes(base, salt, &mut out);
    tokens(base, &mut out);
    bytes(base, salt, &mut out);
    let mut seen = HashSet::from([base.sealed.clone()]);
    out.retain(|(_, text)| seen.insert(text.clone()));
    out
}

fn lines(base: &Base, salt: usize, out: &mut Vec<(String, String)>) {
    let lines: Vec<&str> = base.sealed.split_inclusive('\n').collect();
    let older: Vec<&str> = base.older.split_inclusive('\n').collect();
    let mut with = |name: String, change: &dyn Fn(&mut Vec<String>)| {
        let mut changed: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        change(&mut changed);
        out.push((name, changed.concat()));
    };
    let comment = if base.format == Format::Json { "" } else { "# c\n" };
    for at in 0..lines.len() {
        with(format!("line {at} removed"), &|l| drop(l.remove(at)));
        with(format!("line {at} doubled"), &|l| l.insert(at, l[at].clone()));
        with(format!("comment before line {at}"), &|l| l.insert(at, comment.to_owned()));
        with(format!("blank line before {at}"), &|l| l.insert(at, "\n".to_owned()));
        with(format!("line {at} indented"), &|l| l[at] = format!("  {}", l[at]));
        with(format!("line {at} outdented"), &|l| {
            l[at] = l[at].strip_prefix("  ").unwrap_or(&l[at]).to_owned();
        });
        with(format!("line {at} with a comment"), &|l| l[at] = l[at].replace('\n', " # c\n"));
        with(format!("line {at} with a space"), &|l| l[at] = l[at].replace('\n', " \n"));
        with(format!("line {at} with CRLF"), &|l| l[at] = l[at].replace('\n', "\r\n"));
        with(format!("line {at} commented out"), &|l| l[at] = format!("# {}", l[at]));
        with(format!("line {at} with other spacing"), &|l| {
            l[at] = l[at].replace(": ", ":   ").replace(" = ", "=");
        });
        with(format!("cut after line {at}"), &|l| l.truncate(at));
        if let Some(old) = older.get(at) {
            with(format!("line {at} as before"), &|l| l[at] = (*old).to_owned());
        }
        for to in (0..lines.len()).filter(|to| (at * 31 + to + salt).is_multiple_of(5)) {
            with(format!("line {at} moved to {to}"), &|l| {
                let line = l.remove(at);
                l.insert(to.min(l.len()), line);
            });
            with(format!("line {at} copied over {to}"), &|l| l[to] = l[at].clone());
        }
    }
    let version = lines.iter().position(|line| line.contains("version")).expect("a version");
    for (field, value) in [
        ("mac_only_encrypted", "true"),
        ("mac_only_encrypted", "false"),
        ("Encrypted_Regex", "\"x\""),
        ("encrypted_regex", "\"x\""),
        ("encrypted_suffix", "\"_secret\""),
        ("unencrypted_suffix", "\"_unencrypted\""),
        ("unencrypted_suffix", "\"x\""),
        ("shamir_threshold", "2"),
        ("pgp", "[]"),
        ("hc_vault", "[\"x\"]"),
        ("key_groups", "[]"),
        ("unknown", "\"x\""),
        ("MAC", "\"x\""),
    ] {
        with(format!("{field} = {value} added"), &|l| {
            let line = match base.format {
                Format::Yaml => format!("  {field}: {value}\n"),
                Format::Json => format!("    \"{field}\": {value},\n"),
                _ => format!("{field} = {value}\n"),
            };
            l.insert(version, line);
        });
    }
    with("all CRLF".into(), &|l| l.iter_mut().for_each(|l| *l = l.replace('\n', "\r\n")));
    if base.format == Format::Yaml {
        with("a document more".into(), &|l| l.push("---\n".into()));
        with("a document with a value more".into(), &|l| l.push("---\nx: y\n".into()));
        with("a document before".into(), &|l| l.insert(0, "---\n---\n".into()));
        with("a marker before".into(), &|l| l.insert(0, "---\n".into()));
        with("a sops entry in the second document".into(), &|l| l.push("sops: x\n".into()));
        with("a directive".into(), &|l| l.insert(0, "%YAML 1.2\n---\n".into()));
        with("a document end".into(), &|l| l.push("...\n".into()));
    }
}

fn nodes(base: &Base, salt: usize, out: &mut Vec<(String, String)>) {
    let doc = Document::parse(base.sealed.clone(), base.format).expect("parses");
    let older = Document::parse(base.older.clone(), base.format).expect("parses");
    let text = &base.sealed;
    let spans: Vec<(std::ops::Range<usize>, String)> = doc
        .ids()
        .filter(|&id| doc.node(id).is_value() || doc.node(id).kind() == NodeKind::Comment)
        .filter(|&id| !doc.node(id).span().is_empty())
        .map(|id| (doc.node(id).span().range(), doc.path_of(id).to_string()))
        .collect();
    let replacements: &[&str] = match base.format {
        Format::Yaml => &[
            "null",
            "~",
            "''",
            "\"\"",
            "{}",
            "[]",
            "true",
            "3",
            "3.0",
            "x",
            "[x]",
            "{x: y}",
            "!!str x",
            "*c",
            "&a x",
            "!!null ''",
            "",
            "hunter2",
            "0x1F",
            "2024-01-02",
            "\"open one\"",
        ],
        Format::Json => {
            &["null", "\"\"", "{}", "[]", "true", "3", "3.0", "3e0", "\"x\"", "[3]", "\"hunter2\""]
        }
        _ => &["\"\"", "''", "{}", "[]", "true", "3", "3.0", "'x'", "[3]", "0x3", "2024-01-02"],
    };
    for (index, (span, path)) in spans.iter().enumerate() {
        let put = |new: &str| [&text[..span.start], new, &text[span.end..]].concat();
        for new in replacements {
            out.push((format!("{path} becomes {new}"), put(new)));
        }
        let own = &text[span.clone()];
        out.push((format!("{path} in a list"), put(&format!("[{}]", own.trim_end()))));
        if !own.starts_with(['"', '\'']) {
            out.push((format!("{path} quoted"), put(&format!("\"{own}\""))));
            out.push((format!("{path} quoted singly"), put(&format!("'{own}'"))));
        } else {
            out.push((format!("{path} unquoted"), put(&own[1..own.len() - 1])));
            out.push((
                format!("{path} in other quotes"),
                put(&if own.starts_with('"') {
                    own.replace('"', "'")
                } else {
                    own.replace('\'', "\"")
                }),
            ));
            out.push((format!("{path} escaped"), put(&own.replacen("E", "\\u0045", 1))));
        }
        // The whole of an older version is a file like any other: `an_older_version_is_a_file`.
        if !path.is_empty()
            && let Ok(path) = KeyPath::parse(path)
            && let Some(before) = older.find(&path)
        {
            out.push((format!("{path} as before"), put(older.source(before))));
        }
        for (to, (other, name)) in spans.iter().enumerate() {
            if !(index * 17 + to + salt).is_multiple_of(4) || index == to {
                continue;
            }
            out.push((format!("{name} copied to {path}"), put(&text[other.clone()])));
            if span.end <= other.start {
                let swapped = [
                    &text[..span.start],
                    &text[other.clone()],
                    &text[span.end..other.start],
                    own,
                    &text[other.end..],
                ];
                out.push((format!("{path} and {name} exchanged"), swapped.concat()));
            }
        }
    }
    let keys: Vec<NodeId> = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Key).collect();
    for &key in &keys {
        let span = doc.node(key).span().range();
        let name = doc.path_of(key);
        let put = |new: &str| [&text[..span.start], new, &text[span.end..]].concat();
        let own = doc.key_text(key).into_owned();
        let quoted = |text: &str| format!("\"{text}\"");
        let first = own.chars().next().map_or(0, u32::from);
        let escaped = format!("\"\\u{first:04x}{}\"", own.get(1..).unwrap_or_default());
        for new in [
            "\"x\"".to_owned(),
            quoted(&own),
            escaped,
            quoted(&own.to_uppercase()),
            quoted(&format!("{own}_unencrypted")),
            quoted(&format!("{own}_secret")),
            quoted(&format!("open{own}")),
            quoted(&format!("secret{own}")),
            quoted("sops"),
            "1".to_owned(),
            "? [a]\n".to_owned(),
            "!!str ".to_owned() + &own,
        ] {
            out.push((format!("key {name} becomes {new}"), put(&new)));
        }
        for &other in &keys {
            if (key.index() + other.index() + salt).is_multiple_of(3) {
                out.push((format!("key {name} becomes that of another"), put(doc.source(other))));
            }
        }
    }
}

fn tokens(base: &Base, out: &mut Vec<(String, String)>) {
    let text = &base.sealed;
    let found: Vec<(usize, &str)> = text
        .match_indices("ENC[")
        .filter_map(|(at, _)| Some((at, &text[at..=at + text[at..].find(']')?])))
        .collect();
    let part = |token: &'_ str, name: &str| -> Option<(usize, usize)> {
        let from = token.find(&format!("{name}:"))? + name.len() + 1;
        let end = token[from..].find([',', ']'])? + from;
        Some((from, end))
    };
    for (index, &(at, token)) in found.iter().enumerate() {
        let put = |new: &str| [&text[..at], new, &text[at + token.len()..]].concat();
        let (from, end) = part(token, "type").expect("a type");
        for kind in [
            "str",
            "int",
            "float",
            "bool",
            "time",
            "bytes",
            "comment",
            "null",
            "",
            "Str",
            "datetime-local",
            "date-local",
            "time-local",
        ] {
            let new = [&token[..from], kind, &token[end..]].concat();
            out.push((format!("token {index} of type {kind}"), put(&new)));
        }
        for name in ["data", "iv", "tag"] {
            let (from, end) = part(token, name).expect("a part");
            let own = &token[from..end];
            let with = |new: &str| put(&[&token[..from], new, &token[end..]].concat());
            out.push((format!("{name} of token {index} empty"), with("")));
            out.push((format!("{name} of token {index} cut"), with(&own[..own.len() / 2])));
            out.push((format!("{name} of token {index} longer"), with(&format!("{own}AAAA"))));
            out.push((
                format!("{name} of token {index} unpadded"),
                with(own.trim_end_matches('=')),
            ));
            out.push((format!("{name} of token {index} reversed"), {
                let other: String = own.chars().rev().collect();
                with(&other)
            }));
            // Bits behind the last byte: other text, the same bytes.
            if let Some(last) = own.trim_end_matches('=').chars().last()
                && own.ends_with('=')
            {
                let trimmed = own.trim_end_matches('=');
                let twisted = match last {
                    'A' => 'B',
                    'w' => 'x',
                    'Q' => 'R',
                    'g' => 'h',
                    other => char::from_u32(u32::from(other) + 1).unwrap_or('A'),
                };
                let padding = &own[trimmed.len()..];
                let new = format!("{}{twisted}{padding}", &trimmed[..trimmed.len() - 1]);
                out.push((format!("{name} of token {index} with other spare bits"), with(&new)));
            }
            for (other_index, &(_, other)) in found.iter().enumerate().step_by(3) {
                let (from, end) = part(other, name).expect("a part");
                let new = &other[from..end];
                out.push((format!("{name} of token {index} from {other_index}"), with(new)));
            }
        }
        for (name, new) in [
            ("lower case", token.to_lowercase()),
            ("cut", token[..token.len() - 1].to_owned()),
            ("cut in half", token[..token.len() / 2].to_owned()),
            ("with more behind", format!("{token}x")),
            ("with a space behind", format!("{token} ")),
            ("with a space before", format!(" {token}")),
            ("with more before", format!("x{token}")),
            ("twice", format!("{token}{token}")),
            ("without its type", token[..from - 6].to_owned() + "]"),
            ("with a field more", token.replace(",type", ",x:y,type")),
            ("of another cipher", token.replace("AES256_GCM", "AES128_GCM")),
        ] {
            out.push((format!("token {index} {name}"), put(&new)));
        }
    }
}

fn bytes(base: &Base, salt: usize, out: &mut Vec<(String, String)>) {
    let text = &base.sealed;
    for at in (salt % 3..text.len()).step_by(3).filter(|&at| text.is_char_boundary(at)) {
        let end = at + text[at..].chars().next().map_or(1, char::len_utf8);
        let put = |new: &str| [&text[..at], new, &text[end..]].concat();
        for new in ["", "x", " ", "\"", ":", "#", "\n", "A"] {
            out.push((format!("byte {at} becomes {new:?}"), put(new)));
        }
    }
}
