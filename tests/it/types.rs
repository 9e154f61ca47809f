//! Which type a scalar has, beside real sops: what each of the two seals, by type and value.

use waxseal::document::{Document, Format};
use waxseal::file::EncryptedFile;
use waxseal::policy::Policy;

use crate::sops::{Sops, roots, same};

/// Every sign, base, dot and exponent in turn, and spellings that are near to one.
fn yaml_scalars() -> Vec<String> {
    let words = [
        "~",
        "null",
        "Null",
        "NULL",
        "nULL",
        "true",
        "True",
        "TRUE",
        "tRUE",
        "false",
        "False",
        "FALSE",
        "yes",
        "Yes",
        "no",
        "NO",
        "on",
        "off",
        "y",
        "N",
        ".nan",
        ".NaN",
        ".NAN",
        ".Nan",
        ".inf",
        ".Inf",
        ".INF",
        "+.inf",
        "-.inf",
        "-.INF",
        "inf",
        "nan",
        "NaN",
        "Infinity",
        "-",
        "+",
        ".",
        "..",
        "-.",
        "<",
        "2024-01-02",
        "2024-1-2",
        "2024-13-01",
        "2024-02-30",
        "24-01-02",
        "2024-01-02T03:04:05Z",
        "2024-01-02t03:04:05.123456789Z",
        "2024-01-02 03:04:05",
        "2024-01-02 03:04:05.5",
        "2024-01-02 03:04:05Z",
        "2024-01-02T03:04:05+01:00",
        "2024-01-02T3:4:5-07:30",
        "2024-01-02T03:04Z",
        "2024-01-02T03:04:05",
        "2024-01-02T03:04:05z",
        "2024-01-02T03:04:05,5Z",
        "2024-01-02T24:00:00Z",
        "2024-01-02T03:04:05+0100",
        "0000-01-01",
        "9999-12-31T23:59:59.999999999Z",
        "12:30",
        "1:30:00",
        "190:20:30",
        "1,000",
        "1 000",
        "0x",
        "0xg",
        "0o",
        "0o8",
        "0b2",
        "0b",
        "08",
        "09.5",
        "018",
        "00",
        "0_0",
        "1__0",
        "1_",
        "_1",
        "0x_1F",
        "1_000.5",
        "1_0e1",
        "+0x1F",
        "-0x1F",
        "0X1f",
        "0O17",
        "0B11",
        "-0b11",
        "9223372036854775807",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "0x7fffffffffffffff",
        "0x8000000000000000",
        "1e400",
        "-1e400",
        "1e-400",
        "0x1p-2",
        "1e+",
        "1e",
        "e1",
        "1.5.2",
        "1.2.3.4",
        "v1",
        "1a",
        "1-2",
        "'12'",
        "\"true\"",
        "\"\"",
        "''",
        "!!str 12",
        "!!str true",
        "!!int 7",
        "!!int \"7\"",
        "!!int 0x1F",
        "!!float 3",
        "!!float 3.50",
        "!!float \"1e3\"",
        "!!float .inf",
        "!!bool true",
        "!!bool \"false\"",
        "!!null x",
        "!!null \"\"",
        "!!timestamp 2024-01-02",
        "!!binary aGVsbG8=",
        "!!binary \"/+8=\"",
        "! 12",
        "!custom 12",
        "!custom true",
        "!!custom 1.5",
        "! \"12\"",
        "!<tag:yaml.org,2002:int> 5",
        "!<tag:yaml.org,2002:str> 5",
        "=",
        "<<x",
        "a b",
        "a: b",
        "1e1000000",
        "0.1e1",
        "1E5",
        "1.E5",
        "1e5.0",
        "123456789012345678901234567890",
        "0.30000000000000004",
        "1.7976931348623157e308",
        "5e-324",
        "100000.0",
        "1000000.0",
        "1234567.5",
        "0.00001",
        "0.0001",
        "-0.0",
        "-0",
        "+0",
        "+0.0",
        "1.",
        "-1.",
        ".5",
        "-.5",
        "+.5",
        ".5e1",
        ".e3",
        ".5_0",
        "._5",
        "0.5_",
    ];
    let mut all: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    for sign in ["", "-", "+"] {
        for whole in ["0", "7", "007", "1_2", "0x1f", "0o17", "0b1"] {
            for fraction in ["", ".", ".0", ".50", "._5"] {
                for exponent in ["", "e3", "E-2", "e+12", "e"] {
                    all.push(format!("{sign}{whole}{fraction}{exponent}"));
                }
            }
        }
    }
    all
}

fn json_numbers() -> Vec<String> {
    let mut all = vec![];
    for sign in ["", "-"] {
        for whole in
            ["0", "7", "10", "9007199254740993", "9223372036854775807", "9223372036854775808"]
        {
            for fraction in ["", ".0", ".50", ".1234567890123456789"] {
                for exponent in ["", "e0", "E3", "e-7", "e+21", "e300"] {
                    all.push(format!("{sign}{whole}{fraction}{exponent}"));
                }
            }
        }
    }
    all.extend(
        ["true", "false", "null", "\"\"", "\"1\"", "\"\\u0000\"", "1e308", "5e-324"]
            .map(str::to_owned),
    );
    all
}

/// What each key is sealed as.
fn types(sealed: &str) -> Vec<(String, String)> {
    sealed
        .lines()
        .filter_map(|line| {
            let (key, value) = line.trim().split_once(':')?;
            let key = key.trim_matches('"');
            let number = key.strip_prefix('k')?;
            number.parse::<usize>().ok()?;
            let kind = value.rsplit_once("type:").map_or("", |(_, kind)| kind);
            Some((key.to_owned(), kind.trim_end_matches(['"', ',', '\'']).to_owned()))
        })
        .collect()
}

fn document(scalars: &[String], format: Format) -> String {
    let keys = scalars.iter().enumerate();
    if format == Format::Json {
        let fields: Vec<_> = keys.map(|(at, it)| format!("\t\"k{at}\": {it}")).collect();
        return format!("{{\n{}\n}}\n", fields.join(",\n"));
    }
    keys.map(|(at, it)| format!("k{at}: {it}\n")).collect()
}

/// Seals by both and compares types and values; those that sops refuses are tried one by one.
fn compare(sops: &Sops, scalars: &[String], format: Format, wrong: &mut Vec<String>) -> usize {
    let text = document(scalars, format);
    let suffix = format.name();
    let Some(theirs) = sops.encrypt(&text, suffix, &[]) else {
        if scalars.len() < 2 {
            return 0;
        }
        let (left, right) = scalars.split_at(scalars.len() / 2);
        return compare(sops, left, format, wrong) + compare(sops, right, format, wrong);
    };
    let Some(ours) = sops.seal(&text, format, &Policy::default()) else {
        if let [one] = scalars {
            wrong.push(format!("{one}: we do not seal it"));
            return 0;
        }
        let (left, right) = scalars.split_at(scalars.len() / 2);
        return compare(sops, left, format, wrong) + compare(sops, right, format, wrong);
    };
    for ((key, kind), (_, other)) in types(&ours).iter().zip(types(&theirs)) {
        if *kind != other {
            let at: usize = key[1..].parse().expect("a number");
            wrong.push(format!("{}: {kind}, to sops {other}", scalars[at]));
        }
    }
    let read = |sealed: &str| sops.decrypt(sealed, suffix, suffix);
    let expected = match read(&theirs) {
        Ok(expected) => expected,
        Err(_) if scalars.len() == 1 => return 0,
        Err(_) => {
            let (left, right) = scalars.split_at(scalars.len() / 2);
            return compare(sops, left, format, wrong) + compare(sops, right, format, wrong);
        }
    };
    match read(&ours) {
        Ok(text) if text == expected => {}
        Ok(text) => {
            for (ours, theirs) in text.lines().zip(expected.lines()).filter(|(a, b)| a != b) {
                wrong.push(format!("sops reads {ours} of ours and {theirs} of its own"));
            }
        }
        Err(error) => wrong.push(format!("sops refuses ours: {error}")),
    }
    let file = EncryptedFile::parse(theirs, format).expect("a file by sops");
    let key = sops.unwrap(&file);
    match file.decrypt(&key) {
        Ok(opened) => {
            let plain = Document::parse(text, format).expect("valid");
            if !same(&roots(opened.document()), &roots(&plain)) {
                wrong.push(format!("of theirs we read\n{}", opened.document().text()));
            }
        }
        Err(error) if scalars.len() == 1 => {
            wrong.push(format!("{}: we refuse theirs: {error}", scalars[0]));
        }
        Err(_) => {
            let (left, right) = scalars.split_at(scalars.len() / 2);
            return compare(sops, left, format, wrong) + compare(sops, right, format, wrong);
        }
    }
    scalars.len()
}

fn check(scalars: &[String], format: Format) {
    let Some(sops) = Sops::start() else { return };
    let mut wrong = Vec::new();
    let compared: usize =
        scalars.chunks(64).map(|chunk| compare(&sops, chunk, format, &mut wrong)).sum();
    assert!(compared * 10 > scalars.len() * 8, "only {compared} of {}", scalars.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn yaml_scalars_have_the_types_of_sops() {
    check(&yaml_scalars(), Format::Yaml);
}

#[test]
fn json_numbers_have_the_types_of_sops() {
    check(&json_numbers(), Format::Json);
}
