//! `decrypt`: where it goes and in which form.

use expect_test::expect;

use super::Sandbox;

const PLAIN: &str = "# top\nname: it\nport: 0x1F\nlist:\n  - 1\n  - two\n  - \"three\"\non: true\n";

#[test]
fn a_file_goes_where_it_is_told() {
    let sandbox = Sandbox::new();
    sandbox.sealed("s/a.yaml", PLAIN);
    assert_eq!(sandbox.run(&["decrypt", "s/a.yaml"]).ok(), PLAIN);
    assert_eq!(sandbox.run(&["decrypt", "s/a.yaml", "--output", "out.yaml"]).ok(), "");
    assert_eq!(sandbox.read("out.yaml"), PLAIN);
    assert_eq!(sandbox.run(&["decrypt", "--output-dir", "d", "s/a.yaml"]).ok(), "");
    assert_eq!(sandbox.read("d/s/a.yaml"), PLAIN);
    assert_eq!(sandbox.run(&["decrypt", "--output", "/dev/stdout", "s/a.yaml"]).ok(), PLAIN);
    let run = sandbox.run(&["decrypt", "--output", "/dev/stderr", "s/a.yaml"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", PLAIN));
    assert_eq!(sandbox.run(&["decrypt", "-i", "s/a.yaml"]).ok(), "");
    assert_eq!(sandbox.read("s/a.yaml"), PLAIN);
}

#[test]
fn standard_input_is_decrypted() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let sealed = sandbox.read("a.yaml");
    let by_type = sandbox.run_with(&["decrypt", "--input-type", "yaml"], &sealed).ok();
    let by_name = sandbox.run_with(&["decrypt", "--filename-override", "x.yml"], &sealed).ok();
    let device = sandbox.run_with(&["decrypt", "--input-type", "yaml", "/dev/stdin"], &sealed).ok();
    assert_eq!([by_type.as_str(), &by_name, &device], [PLAIN; 3]);
    let run = sandbox.run_with(&["decrypt"], &sealed);
    expect![[r#"
        exit 1
        --- stderr
        error: standard input: nothing says what it is, and binary data is not supported yet
        hint: say --input-type yaml, json or toml
    "#]]
    .assert_eq(&sandbox.transcript(&run));
}

#[test]
fn parts_are_extracted() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let extract = |path: &str, kind: &str| {
        sandbox.run(&["decrypt", "--extract", path, "--output-type", kind, "a.yaml"]).ok()
    };
    assert_eq!(extract("[\"name\"]", "yaml"), "it");
    assert_eq!(extract("['name']", "json"), "it");
    assert_eq!(extract("[\"list\"][1]", "yaml"), "two");
    assert_eq!(extract("[\"port\"]", "yaml"), "31\n");
    assert_eq!(extract("[\"port\"]", "json"), "31");
    assert_eq!(extract("[\"on\"]", "yaml"), "true\n");
    assert_eq!(extract("[\"list\"]", "yaml"), "- 1\n- two\n- three\n");
    assert_eq!(extract("[\"list\"]", "json"), "[\n\t1,\n\t\"two\",\n\t\"three\"\n]");
    assert_eq!(extract("[\"list\"]", "toml"), "[1, \"two\", \"three\"]\n");
    for (path, code) in [
        ("[\"nothing\"]", 1),
        ("[\"list\"][9]", 1),
        ("[\"name\"][0]", 1),
        ("[0]", 1),
        ("name", 91),
        ("[\"", 91),
        ("[]", 91),
    ] {
        let stderr = sandbox.run(&["decrypt", "--extract", path, "a.yaml"]).fails(code);
        let said = stderr.contains("error parsing --extract path:");
        assert_eq!(said, code == 91, "{stderr}");
    }
}

#[test]
fn another_format_is_written_in_its_canonical_form() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let run = sandbox.run(&["decrypt", "--output-type", "json", "a.yaml"]);
    expect![[r#"
        exit 0
        --- stdout
        {
        	"name": "it",
        	"port": 31,
        	"list": [
        		1,
        		"two",
        		"three"
        	],
        	"on": true
        }
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    sandbox.run(&["decrypt", "--output-type", "toml", "--output-dir", "d", "a.yaml"]).ok();
    assert!(sandbox.read("d/a.toml").starts_with("name = \"it\"\n"));
    sandbox.sealed("two.yaml", "a: 1\n---\nb: 2\n");
    let stderr = sandbox.run(&["decrypt", "--output-type", "json", "two.yaml"]).fails(4);
    assert!(stderr.contains("holds 2 documents; json holds one"), "{stderr}");
    sandbox.sealed("null.yaml", "a: null\nb: 1\n");
    sandbox.run(&["decrypt", "--output-type", "toml", "null.yaml"]).fails(4);
    sandbox.run(&["decrypt", "--output-type", "dotenv", "a.yaml"]).fails(1);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    let long: String = (0..20_000).map(|n| format!("k{n}: value\n")).collect();
    sandbox.sealed("a.yaml", &long);
    let mut command = sandbox.command("sh");
    let program = env!("CARGO_BIN_EXE_waxseal");
    command.args([
        "-c",
        "{ \"$1\" decrypt a.yaml; echo \"code $?\" >&2; } | head -c 1",
        "sh",
        program,
    ]);
    let output = command.output().expect("run");
    assert_eq!(output.stdout, b"k");
    assert_eq!(String::from_utf8(output.stderr).expect("UTF-8"), "code 0\n");
}

#[test]
fn spellings_that_do_not_fit_any_more_are_given_up_together() {
    let sandbox = Sandbox::new();
    let line = |n: usize| format!("k{n}: 0x{n:X}\n");
    let plain: String = (16..5_000).map(line).collect();
    sandbox.sealed("a.yaml", &plain);
    // Every note behind this line is for the leaf before it.
    let with_line = sandbox.read("a.yaml").replacen("k26:", "# a line\nk26:", 1);
    sandbox.write("a.yaml", &with_line);
    let decrypted = sandbox.run(&["decrypt", "a.yaml"]).ok();
    let expected = (16..26).map(line).chain(["# a line\n".to_owned()]);
    let expected = expected.chain((26..5_000).map(|n| format!("k{n}: {n}\n")));
    assert_eq!(decrypted, expected.collect::<String>());
}

#[test]
fn folders_are_decrypted_below_the_output_folder() {
    let sandbox = Sandbox::new();
    sandbox.sealed("s/a.yaml", PLAIN);
    sandbox.sealed("s/deep/er/b.json", "{\"a\": 1}\n");
    sandbox.write("s/open.yaml", "a: 1\n");
    sandbox.write("s/notes.txt", "none\n");
    let outside = sandbox.home().join("tree");
    std::fs::create_dir(&outside).expect("made");
    for name in ["a.yaml", "deep"] {
        std::fs::rename(sandbox.path("s").join(name), outside.join(name)).expect("moved");
    }
    let below = |dir: &str| -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![sandbox.path(dir)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("one").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(sandbox.path(dir)).expect("below");
                    found.push(name.display().to_string());
                }
            }
        }
        found.sort();
        found
    };
    let tree = outside.display().to_string();
    sandbox.run(&["decrypt", "--output-dir", "out", &tree]).ok();
    assert_eq!(below("out"), ["tree/a.yaml", "tree/deep/er/b.json"]);
    assert_eq!(sandbox.read("out/tree/a.yaml"), PLAIN);
    sandbox.run(&["decrypt", "--output-dir", "up", "../home/tree"]).ok();
    assert_eq!(below("up"), ["tree/a.yaml", "tree/deep/er/b.json"]);
    std::fs::rename(&outside, sandbox.path("s/in")).expect("moved");
    for named in ["s", "./s/"] {
        sandbox.run(&["decrypt", "--output-dir", "in", named]).ok();
        assert_eq!(below("in"), ["s/in/a.yaml", "s/in/deep/er/b.json"]);
    }
    // A second time, what was written in the open is none of it.
    sandbox.run(&["decrypt", "--output-dir", "s/out", "s"]).ok();
    sandbox.run(&["decrypt", "--output-dir", "s/out", "s"]).ok();
    assert_eq!(below("s/out"), ["s/in/a.yaml", "s/in/deep/er/b.json"]);
    // No link in the output leads out of it.
    std::fs::create_dir_all(sandbox.path("linked/s")).expect("made");
    std::fs::create_dir(sandbox.path("elsewhere")).expect("made");
    std::os::unix::fs::symlink(sandbox.path("elsewhere"), sandbox.path("linked/s/in"))
        .expect("linked");
    sandbox.run(&["decrypt", "--output-dir", "linked", "s"]).fails(1);
    assert_eq!(below("elsewhere"), [""; 0]);
    let said = sandbox.run(&["decrypt", "s"]).fails(2);
    assert!(said.contains("s: is a directory") && said.contains("--output-dir"), "{said}");
    std::fs::create_dir(sandbox.path("empty")).expect("made");
    let said = sandbox.run(&["decrypt", "--output-dir", "out", "empty"]).fails(100);
    assert!(said.contains("no sealed file is below this folder"), "{said}");
}
