//! Sealing and opening in place: a token at every scalar, and the owner's bytes back.

use std::collections::BTreeMap;

use waxseal::document::{Document, NodeId};
use waxseal::text::Edits;
use waxseal::value::{Scalar, ScalarType};

use super::{corpus, is_block, outline, parse, sealable, try_parse, with, write_scalar};

const TOKEN: &str = "ENC[AES256_GCM,data:p673w==,iv:YY=,aad:UQ=,tag:A=,type:str]";

fn write_token(doc: &Document, id: NodeId) -> String {
    let mut out = String::new();
    doc.write_token(id, TOKEN, &mut out);
    out
}

#[track_caller]
fn check(text: &str, sealed: &str) {
    let doc = parse(text);
    let mut edits = Edits::new();
    for id in sealable(&doc) {
        edits.push_with(doc.node(id).span(), |out| doc.write_token(id, "ENC[a,b]", out));
    }
    assert_eq!(edits.apply(text), sealed);
}

#[test]
fn the_style_rides_along() {
    check("a: 1\n- b\n".split_at(5).0, "a: ENC[a,b]\n");
    check("a: 'x'\nb: \"y\"\n", "a: 'ENC[a,b]'\nb: \"ENC[a,b]\"\n");
    check("{a: 1, b: 'c', 'd':e}", "{a: \"ENC[a,b]\", b: 'ENC[a,b]', 'd':\"ENC[a,b]\"}");
    check("a: x\n  y\nb: 'x\n\n  y'\n", "a: ENC[a,b]\nb: 'ENC[a,b]'\n");
    check("a: | # c\n   x\n   y\n\nb: 1\n", "a: | # c\n   ENC[a,b]\n\nb: ENC[a,b]\n");
    check("a: |+\n  x\n\n\nb: 1", "a: |+\n  ENC[a,b]\n\n\nb: ENC[a,b]");
    check("a:\r\n- >2-\r\n   x\r\n", "a:\r\n- >2-\r\n  ENC[a,b]\r\n");
    check("a:\n  b: |+\n\n\n", "a:\n  b: |+\n    ENC[a,b]\n\n\n");
    check("a: |\n  x", "a: |\n  ENC[a,b]");
    check("a: &x !t y # c\n", "a: &x !t ENC[a,b] # c\n");
}

#[test]
fn every_scalar_holds_a_token_alone() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, text) in corpus::small() {
        for text in corpus::variants(&text) {
            let Some(doc) = try_parse(&text) else { continue };
            for id in sealable(&doc) {
                count += 1;
                let sealed = with(&doc, doc.node(id).span(), &write_token(&doc, id));
                if let Some(problem) = compare(&doc, &sealed, &[id]) {
                    wrong.push(format!("{name} {}: {problem}", id.index()));
                }
            }
        }
    }
    println!("{count} scalars, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(20)]);
}

#[test]
fn all_scalars_hold_tokens_and_most_come_back_without_a_note() {
    let (mut files, mut count, mut wrong) = (0, 0, Vec::new());
    let mut misses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, text) in corpus::texts() {
        let Some(doc) = try_parse(&text) else { continue };
        files += 1;
        let ids = sealable(&doc);
        let mut edits = Edits::new();
        for &id in &ids {
            edits.push_with(doc.node(id).span(), |out| doc.write_token(id, TOKEN, out));
        }
        let sealed = edits.apply(&text);
        if let Some(problem) = compare(&doc, &sealed, &ids) {
            wrong.push(format!("{name}: {problem}"));
            continue;
        }
        let sealed = parse(&sealed);
        for &id in &ids {
            count += 1;
            let value = doc.scalar(id).expect("sealable");
            let opened = write_scalar(&sealed, id, &value);
            if opened != doc.source(id) {
                let reason = reason(&doc, id, &value);
                misses
                    .entry(reason)
                    .or_default()
                    .push(format!("{name}: {:?} as {opened:?}", doc.source(id)));
            }
        }
    }
    let missed: usize = misses.values().map(Vec::len).sum();
    println!(
        "{files} files, {count} scalars, {missed} not byte-equal, {} files wrong",
        wrong.len()
    );
    for (reason, list) in &misses {
        println!("{:6} {reason}", list.len());
        for miss in list.iter().filter(|miss| miss.starts_with("real")).take(3) {
            println!("         {}", miss.chars().take(200).collect::<String>());
        }
    }
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(20)]);
}

fn reason(doc: &Document, id: NodeId, value: &Scalar<'_>) -> &'static str {
    let source = doc.source(id);
    let is_plain = !source.starts_with(['"', '\'', '|', '>']);
    let has_break = source.contains(['\n', '\r']);
    match (is_plain, value.kind) {
        (true, ScalarType::Str) if has_break => "plain, more than one line",
        (true, ScalarType::Str) if in_flow(doc, id) => "plain string in brackets",
        (true, ScalarType::Str) => "plain string",
        (true, _) => "plain, typed",
        _ if source.starts_with('"') && has_break => "double, more than one line",
        _ if source.starts_with('"') => "double",
        _ if source.starts_with('\'') => "single",
        _ if source.starts_with('|') => "literal",
        _ => "folded",
    }
}

fn in_flow(doc: &Document, id: NodeId) -> bool {
    let parent = doc.node(id).parent();
    let map = doc.node(parent).parent();
    [parent, map].iter().any(|&id| doc.node(id).style() == waxseal::document::Style::Flow)
}

/// What is wrong with a sealed text: the tokens of `ids` in their places, all else as before.
fn compare(doc: &Document, sealed: &str, ids: &[NodeId]) -> Option<String> {
    let Some(sealed) = try_parse(sealed) else {
        return Some(format!("does not parse: {sealed:?}"));
    };
    let (mut before, mut after) = (outline(doc), outline(&sealed));
    if before.len() != after.len() {
        return Some(format!("{} nodes, now {}", before.len(), after.len()));
    }
    for &id in ids {
        let value = sealed.scalar(id).ok()?;
        let text = value.text().unwrap_or_default();
        let text =
            if is_block(sealed.node(id).style()) { text.trim_end_matches('\n') } else { text };
        if text != TOKEN || value.kind != ScalarType::Str {
            return Some(format!("reads {text:?}"));
        }
        (before[id.index()], after[id.index()]) = (String::new(), String::new());
    }
    let differ = before.iter().zip(&after).find(|(before, after)| before != after);
    differ.map(|(before, after)| format!("{before:?}, now {after:?}"))
}
